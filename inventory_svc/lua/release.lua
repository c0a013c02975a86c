-- Give back what cancelled or rejected orders hold or bought; a repeat changes nothing. Every order is
-- remembered, so that a hold that comes late is refused.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3..]  for each order: its id; the generation in which it gave its units back (0: it never had any);
--            the generation of the hold that it was confirmed on (0: not known); when it gave them back and
--            when it was created, in ms; number of lines, then product and quantity of each
--
-- Returns {sequence, {reply, ...}}, a reply for each order:
--   {'released'}          nothing is held or sold for it any more
--   {'settled'}           the stock was rebuilt since, and took it into account
--   {'committed'}         it is sold, although it never had any units: it stays so
--   {'ahead'}             it was cancelled in a generation that Redis does not know
--   {'undecided'}         whether its units came back already may have been forgotten, or they were never sold
--   {'unknown', product}  it has a product that is not there

-- How much of the lines was not sold: an event that is not true must not make up units.
local function unsold(lines)
  for _, line in ipairs(lines) do
    local item = product(line[1])
    if item.sold + item.short < line[2] then return true end
  end
  return false
end

local function give_back_sold(order, lines)
  local absent = unknown_product(lines)
  if absent then return { 'unknown', absent } end
  if unsold(lines) then return { 'undecided' } end
  local changes = {}
  for index, line in ipairs(lines) do
    changes[index] = give_back(product(line[1]), line[2], 'sold')
  end
  remember(order, RELEASED)
  append_event('released', order, changes)
  return { 'released' }
end

local function give_back_held(order, hold)
  append_event('released', order, give_back_hold(order, hold))
  remember(order, RELEASED)
  return { 'released' }
end

local function release(order, cancelled_in, held_in, at_ms, created_ms, lines)
  local present = tonumber(generation)
  if cancelled_in > present then return { 'ahead' } end
  local state = remembered(order)
  if state == RELEASED then return { 'released' } end
  local hold = read_hold(order)
  if cancelled_in == present then
    -- Whether it was sold is forgotten; a hold that it has may be another one, made since.
    if state ~= SOLD and (forgotten(at_ms) or hold and forgotten(created_ms)) then return { 'undecided' } end
    -- Its own hold, whose commit is still to come. One that was placed after a rebuild had counted the order
    -- as sold is a stray: both are given back.
    if hold and (held_in == 0 or held_in == present) then return give_back_held(order, hold) end
    if hold then append_event('released', order, give_back_hold(order, hold)) end
    if state ~= SOLD and held_in == present and not forgotten(created_ms) then
      -- Its sale would be remembered: there was none.
      remember(order, RELEASED)
      return { 'released' }
    end
    return give_back_sold(order, lines)
  end
  if hold then return give_back_held(order, hold) end
  if state == SOLD then return { 'committed' } end
  remember(order, RELEASED)
  return { cancelled_in == 0 and 'released' or 'settled' }
end

local replies = {}
local at = 3
while at <= #ARGV do
  local count = tonumber(ARGV[at + 5])
  table.insert(replies, release(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4]), lines_at(at + 6, count)))
  at = at + 6 + 2 * count
end
save()
return { sequence, replies }
