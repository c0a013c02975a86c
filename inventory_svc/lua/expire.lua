-- Give back what holds set aside whose lease has ended; others are left alone. They are not remembered: an order
-- whose lease ended may hold again.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  time after the end of a lease in which it still counts, in ms
-- ARGV[4..]  the orders
--
-- Returns {sequence, number of holds that expired}.

local count = 0
for at = 4, #ARGV do
  local order = ARGV[at]
  local hold = read_hold(order)
  if hold and tonumber(hold.expire_ms) + tonumber(ARGV[3]) <= now then
    append_event('released', order, give_back_hold(order, hold))
    count = count + 1
  elseif not hold then
    redis.call('ZREM', LEASES, order)
  end
end
save()
return { sequence, count }
