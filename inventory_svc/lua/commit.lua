-- Sell what confirmed orders hold; a repeat changes nothing.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  how long to remember final holds, in ms
-- ARGV[4]  1 if the orders were asked and own their lines now, else 0
-- ARGV[5..]  for each order: its id, the generation of the hold that it was
--            confirmed on (0: not known), number of lines, then product, quantity
--            and price ('' is the present one) of each
--
-- Returns {sequence, {reply, ...}}, a reply for each order:
--   {'sold', state, lines}   {'late', state, lines}   its lease had ended before
--   {'released', lines}      it was given back on request: a repeated old event
--   {'settled'}              it was confirmed before the rebuild, which took it into account
--   {'ahead'}                it was confirmed on a generation that Redis does not know yet
--   {'gone'}                 its lease ended, or it has no hold: ask the orders whether it owns its lines
--   {'unknown', product}     it has a product that is not there

local function known(lines)
  for _, line in ipairs(lines) do
    if not product(line[1]) then return false, line[1] end
  end
  return true
end

-- The lease ended while the order was being confirmed: it owns its units all the same.
local function sell_late(order, lines)
  local all, absent = known(lines)
  if not all then return { 'unknown', absent } end
  local changes = {}
  for index, line in ipairs(lines) do
    local item = product(line[1])
    if line[3] == '' then line[3] = item.price end
    changes[index] = sell(item, line[2])
  end
  local text = cjson.encode(lines)
  redis.call('DEL', hold_key(order))
  redis.call('HSET', hold_key(order), 'state', 'committed', 'lines', text)
  tell('committed', order, changes)
  return { 'late', 'committed', text }
end

local function sell_held(order, hold)
  local changes = {}
  for index, line in ipairs(hold.lines) do
    local item = product(line[1])
    item.held = item.held - line[2]
    item.sold = item.sold + line[2]
    changes[index] = change(item, line[2])
  end
  redis.call('HSET', hold_key(order), 'state', 'committed')
  redis.call('HDEL', hold_key(order), 'expire_ms')
  redis.call('ZREM', LEASES, order)
  tell('committed', order, changes)
  return { 'sold', 'committed', hold.text }
end

local owned = ARGV[4] == '1'

local function commit(order, confirmed_on, lines)
  local hold = read_hold(order)
  if hold and (hold.state == 'committed' or hold.state == 'fulfilled') then return { 'sold', hold.state, hold.text } end
  if hold and hold.why == 'released' then return { 'released', hold.text } end
  if confirmed_on > tonumber(generation) then return { 'ahead' } end
  if confirmed_on > 0 and confirmed_on < tonumber(generation) then return { 'settled' } end
  if hold and hold.state == 'held' then return sell_held(order, hold) end
  if not owned or #lines == 0 then return { 'gone' } end
  return sell_late(order, lines)
end

local replies = {}
local at = 5
while at <= #ARGV do
  local order, confirmed_on, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local lines = {}
  for index = 1, count do
    local first = at + 3 * index
    lines[index] = { ARGV[first], tonumber(ARGV[first + 1]), ARGV[first + 2] }
  end
  table.insert(replies, commit(order, confirmed_on, lines))
  at = at + 3 + 3 * count
end
save()
return { sequence, replies }
