-- Claim holds whose lease has ended; other callers do not get them for a while.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  time after the end of a lease in which it still counts, in ms
-- ARGV[4]  for how long they are the caller's, in ms
-- ARGV[5]  most holds to take
--
-- Returns {sequence, {order, ...}}, those that ended first.

local ended = now - tonumber(ARGV[3])
local orders = redis.call('ZRANGEBYSCORE', LEASES, '-inf', ended, 'LIMIT', 0, ARGV[5])
for _, order in ipairs(orders) do
  -- Only the claim moves; whether a lease has ended stands in the hold itself.
  redis.call('ZADD', LEASES, ended + tonumber(ARGV[4]), order)
end
return { sequence, orders }
