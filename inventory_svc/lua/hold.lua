-- Hold baskets, each all its lines or none; a repeat gets its hold again with a fresh lease.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  lease in ms
-- ARGV[4]  most events that may wait for Kafka; at that no further basket is held
-- ARGV[5]  how long to remember final holds, in ms (as for every script here)
-- ARGV[6..]  for each basket: order, number of lines, then product and quantity of each
--
-- Returns {sequence, {reply, ...}}, a reply for each basket:
--   {'held', state, lines, expire_ms or ''}   lines: JSON [[product, quantity, price], ...]
--   {'missing', {index, available, ...}}   {'unknown', {index, ...}}   indices from 0
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

local function repeated(order, hold, wanted)
  if hold.state == 'released' then return { 'released' } end
  if not same_lines(hold.lines, wanted) then return { 'mismatch' } end
  local expire_ms = ''
  if hold.state == 'held' then expire_ms = lease(order) end
  return { 'held', hold.state, hold.text, expire_ms }
end

local function shortcomings(wanted)
  local unknown, missing = {}, {}
  for index, line in ipairs(wanted) do
    local item = product(line[1])
    if not item then
      table.insert(unknown, index - 1)
    elseif item.available < line[2] then
      table.insert(missing, index - 1)
      table.insert(missing, item.available)
    end
  end
  if #unknown > 0 then return { 'unknown', unknown } end
  if #missing > 0 then return { 'missing', missing } end
  return nil
end

local function place(order, wanted)
  local hold = read_hold(order)
  -- A hold whose lease ended may be had again; one that was given back may not.
  if hold and hold.why ~= 'expired' then return repeated(order, hold, wanted) end
  if full then return { 'full' } end
  local refusal = shortcomings(wanted)
  if refusal then return refusal end
  local lines, changes = {}, {}
  for index, line in ipairs(wanted) do
    local item = product(line[1])
    changes[index] = take(item, line[2], 'held')
    lines[index] = { line[1], line[2], item.price }
  end
  local text = cjson.encode(lines)
  redis.call('DEL', hold_key(order))
  redis.call('HSET', hold_key(order), 'state', 'held', 'lines', text)
  tell('held', order, changes)
  return { 'held', 'held', text, lease(order) }
end

local replies = {}
local at = 6
while at <= #ARGV do
  local order, count = ARGV[at], tonumber(ARGV[at + 1])
  local wanted = {}
  for index = 1, count do
    wanted[index] = { ARGV[at + 2 * index], tonumber(ARGV[at + 2 * index + 1]) }
  end
  table.insert(replies, place(order, wanted))
  at = at + 2 + 2 * count
end
save()
return { sequence, replies }
