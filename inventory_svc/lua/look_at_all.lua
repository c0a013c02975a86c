-- Read what is known of the holds of several orders.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3..]  the orders
--
-- Returns {sequence, {{order, state, lines, expire_ms or ''}, ...}} without those of which nothing is known;
-- of holds that are committed or released the lines are not kept

local NAMES = { [SOLD] = 'committed', [RELEASED] = 'released' }
local found = {}
for index = 3, #ARGV do
  local order = ARGV[index]
  local hold, state = read_hold(order), remembered(order)
  if hold then
    table.insert(found, { order, 'held', hold.text, hold.expire_ms })
  elseif state then
    table.insert(found, { order, NAMES[state], '[]', '' })
  end
end
return { sequence, found }
