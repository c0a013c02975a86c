-- Hold baskets, each all its lines or none; a repeat gets its hold again with a fresh lease.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  lease in ms
-- ARGV[4]  most events that may wait for Kafka; at that no further basket is held
-- ARGV[5..]  for each basket: order, number of lines, then product and quantity of each
--
-- Returns {sequence, {reply, ...}}, a reply for each basket:
--   {'held', lines, expire_ms}   lines: JSON [[product, quantity, price], ...]
--   {'committed', lines}         it is sold already; of what its lines were only the order knows
--   {'missing', {index, available, ...}}   {'unknown', {index, ...}}   indices from 0
--   {'mixed', {currency, ...}}   {'dear'}   its prices have no sum
--   {'mismatch'}   {'released'}   {'full'}

local lease_ms = tonumber(ARGV[3])
local full = redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[4])

local function same_lines(lines, wanted)
  if #lines ~= #wanted then return false end
  local quantities = {}
  for _, line in ipairs(lines) do quantities[line[1]] = line[2] end
  for _, line in ipairs(wanted) do
    if quantities[line[1]] ~= line[2] then return false end
  end
  return true
end

local function lease(order)
  local expire_ms = now + lease_ms
  redis.call('HSET', hold_key(order), 'expire_ms', expire_ms)
  redis.call('ZADD', LEASES, expire_ms, order)
  return tostring(expire_ms)
end

local function unknown(wanted)
  local indices = {}
  for index, line in ipairs(wanted) do
    if not product(line[1]) then table.insert(indices, index - 1) end
  end
  return #indices > 0 and { 'unknown', indices } or nil
end

local function missing(wanted)
  local numbers = {}
  for index, line in ipairs(wanted) do
    local available = product(line[1]).available
    if available < line[2] then
      table.insert(numbers, index - 1)
      table.insert(numbers, available)
    end
  end
  return #numbers > 0 and { 'missing', numbers } or nil
end

-- Below the 2^63 that an amount can say, by more than doubles are inexact.
local MOST_UNITS = 9.2e18

-- Prices are texts, `EUR 12 990000000`. What has no total is refused before anything is held for it.
local function without_total(wanted)
  local currencies, units = {}, 0
  for _, line in ipairs(wanted) do
    local currency, amount = string.match(product(line[1]).price or '', '^(%S+) (%S+)')
    if currency and not currencies[currency] then
      currencies[currency] = true
      table.insert(currencies, currency)
    end
    units = units + line[2] * (tonumber(amount) or 0)
  end
  if #currencies > 1 then return { 'mixed', currencies } end
  return units > MOST_UNITS and { 'dear' } or nil
end

local function shortcomings(wanted)
  return unknown(wanted) or without_total(wanted) or missing(wanted)
end

local function priced(wanted)
  local lines = {}
  for index, line in ipairs(wanted) do
    lines[index] = { line[1], line[2], product(line[1]).price }
  end
  return cjson.encode(lines)
end

local function place(order, wanted)
  local state = remembered(order)
  if state == RELEASED then return { 'released' } end
  if state == SOLD then return unknown(wanted) or { 'committed', priced(wanted) } end
  local hold = read_hold(order)
  if hold then
    if not same_lines(hold.lines, wanted) then return { 'mismatch' } end
    return { 'held', hold.text, lease(order) }
  end
  if full then return { 'full' } end
  local refusal = shortcomings(wanted)
  if refusal then return refusal end
  local changes = {}
  for index, line in ipairs(wanted) do
    changes[index] = take(product(line[1]), line[2], 'held')
  end
  local text = priced(wanted)
  redis.call('HSET', hold_key(order), 'lines', text)
  append_event('held', order, changes)
  return { 'held', text, lease(order) }
end

local replies = {}
local at = 5
while at <= #ARGV do
  local order, count = ARGV[at], tonumber(ARGV[at + 1])
  table.insert(replies, place(order, lines_at(at + 2, count)))
  at = at + 2 + 2 * count
end
save()
return { sequence, replies }
