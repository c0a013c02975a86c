-- Read open holds, a page of them, in no order.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  where to go on: '0' at first, then what the page before returned
-- ARGV[4]  about how many to read
--
-- Returns {sequence, where to go on or '0' at the end, {{order, 'held', lines, expire_ms}, ...}}

local found = {}
local page = redis.call('ZSCAN', LEASES, ARGV[3], 'COUNT', ARGV[4])
for at = 1, #page[2], 2 do
  local order = page[2][at]
  local hold = read_hold(order)
  if hold then table.insert(found, { order, 'held', hold.text, hold.expire_ms }) end
end
return { sequence, page[1], found }
