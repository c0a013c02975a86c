-- Read the holds of several orders.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3..]  the orders
--
-- Returns {sequence, {{order, state, lines, expire_ms or ''}, ...}} without those that have none

local found = {}
for index = 3, #ARGV do
  local hold = read_hold(ARGV[index])
  if hold then table.insert(found, { ARGV[index], hold.state, hold.text, hold.expire_ms or '' }) end
end
return { sequence, found }
