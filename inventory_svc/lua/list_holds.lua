-- Read holds that are held or sold, a page of them, in no order.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  where to go on: '0' at first, then what the page before returned
-- ARGV[4]  about how many keys to look at
--
-- Returns {sequence, where to go on or '0' at the end, {{order, state, lines, expire_ms or ''}, ...}}

local start = prefix .. 'hold:'
local found = {}
local page = redis.call('SCAN', ARGV[3], 'MATCH', start .. '*', 'COUNT', ARGV[4])
for _, key in ipairs(page[2]) do
  local order = string.sub(key, #start + 1)
  local hold = read_hold(order)
  if hold and (hold.state == 'held' or hold.state == 'committed') then
    table.insert(found, { order, hold.state, hold.text, hold.expire_ms or '' })
  end
end
return { sequence, page[1], found }
