-- Give back what orders hold or bought; a repeat changes nothing. An order that
-- holds nothing is remembered, so that a hold that comes late is refused.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  how long to remember final holds, in ms
-- ARGV[4..]  the orders
--
-- Returns {sequence, {reply, ...}}, a reply for each order:
--   {'released', lines}   {'fulfilled'}   it was handed over and stays sold

local keep_ms = tonumber(ARGV[3])

local function release(order)
  local hold = read_hold(order)
  if not hold then
    hold = { state = 'released', text = '[]' }
    redis.call('HSET', hold_key(order), 'lines', hold.text)
  end
  if hold.state == 'fulfilled' then return { 'fulfilled' } end
  if hold.state ~= 'released' then
    local field = hold.state == 'held' and 'held' or 'sold'
    local changes = {}
    for index, line in ipairs(hold.lines) do
      changes[index] = give_back(product(line[1]), line[2], field)
    end
    tell('released', order, changes)
  end
  finish_hold(order, 'released', 'released', keep_ms)
  return { 'released', hold.text }
end

local replies = {}
for at = 4, #ARGV do
  table.insert(replies, release(ARGV[at]))
end
save()
return { sequence, replies }
