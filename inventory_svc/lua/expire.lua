-- Give back what holds set aside whose lease has ended; others are left alone.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  how long to remember final holds, in ms
-- ARGV[4]  time after the end of a lease in which it still counts, in ms
-- ARGV[5..]  the orders
--
-- Returns {sequence, number of holds that expired}.

local function ended(hold)
  return hold and hold.state == 'held' and tonumber(hold.expire_ms) + tonumber(ARGV[4]) <= now
end

local count = 0
for at = 5, #ARGV do
  local order = ARGV[at]
  local hold = read_hold(order)
  if ended(hold) then
    local changes = {}
    for index, line in ipairs(hold.lines) do
      changes[index] = give_back(product(line[1]), line[2], 'held')
    end
    tell('released', order, changes)
    finish_hold(order, 'released', 'expired', tonumber(ARGV[3]))
    count = count + 1
  end
end
save()
return { sequence, count }
