-- Sell what confirmed orders hold; a repeat changes nothing.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  1 if the orders were asked and own their lines now, else 0
-- ARGV[4..]  for each order: its id; the generation of the hold that it was confirmed on (0: not known);
--            1 if this is known to be so since then, 0 if the order was only handed over now; when that
--            happened, in ms; number of lines, then product and quantity of each
--
-- Returns {sequence, {reply, ...}}, a reply for each order:
--   {'sold', lines}       it is sold; no lines (JSON) in a repeat
--   {'late'}              it is sold, but its hold was gone
--   {'released'}          it was given back: a repeated old event
--   {'settled'}           the stock was rebuilt since, and took it into account
--   {'ahead'}             it was confirmed on a generation that Redis does not know
--   {'gone'}              it has no hold: ask the orders whether it owns its lines
--   {'undecided'}         what became of it may have been forgotten
--   {'unknown', product}  it has a product that is not there

local owned = ARGV[3] == '1'

local function sell_late(order, lines)
  local absent = unknown_product(lines)
  if absent then return { 'unknown', absent } end
  local changes = {}
  for index, line in ipairs(lines) do
    changes[index] = sell(product(line[1]), line[2])
  end
  remember(order, SOLD)
  append_event('committed', order, changes)
  return { 'late' }
end

local function sell_held(order, hold)
  local changes = {}
  for index, line in ipairs(hold.lines) do
    local item = product(line[1])
    item.held = item.held - line[2]
    item.sold = item.sold + line[2]
    changes[index] = change(item, line[2])
  end
  drop_hold(order)
  remember(order, SOLD)
  append_event('committed', order, changes)
  return { 'sold', hold.text }
end

local function commit(order, confirmed_on, confirmed_now, at_ms, lines)
  local present = tonumber(generation)
  if confirmed_on > present then return { 'ahead' } end
  local state = remembered(order)
  if state == SOLD then return { 'sold', '[]' } end
  if confirmed_on > 0 and confirmed_on < present then return { 'settled' } end
  if state == RELEASED then return { 'released' } end
  -- An order that is handed over was confirmed before, which may be long ago: its sale is forgotten, not missing. A hold
  -- that it has is another one, made since: holds live for minutes.
  if forgotten(at_ms) then return { confirmed_now and 'undecided' or 'settled' } end
  local hold = read_hold(order)
  if hold then return sell_held(order, hold) end
  if not owned or #lines == 0 then return { 'gone' } end
  return sell_late(order, lines)
end

local replies = {}
local at = 4
while at <= #ARGV do
  local count = tonumber(ARGV[at + 4])
  table.insert(replies, commit(ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == '1', tonumber(ARGV[at + 3]),
    lines_at(at + 5, count)))
  at = at + 5 + 2 * count
end
save()
return { sequence, replies }
