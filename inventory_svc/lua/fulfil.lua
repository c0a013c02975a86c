-- Mark what was sold as handed over: it is never given back, and forgotten in time.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  how long to remember final holds, in ms
-- ARGV[4..]  the orders
--
-- Returns {sequence, number of holds that were marked}.

local count = 0
for at = 4, #ARGV do
  local hold = read_hold(ARGV[at])
  if hold and hold.state == 'committed' then
    finish_hold(ARGV[at], 'fulfilled', '', tonumber(ARGV[3]))
    count = count + 1
  end
end
return { sequence, count }
