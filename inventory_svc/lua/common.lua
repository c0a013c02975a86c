-- What every script starts with (Python puts this text before each of them).
--
-- KEYS[1]  stock:marker   hash: generation, sequence (of its last event), prefix, format
-- KEYS[2]  stock:events   stream of the events that are not published yet
-- KEYS[3]  stock:rebuild  lock of a rebuild under way
-- ARGV[1]  the generation that the caller knows
-- ARGV[2]  the highest sequence that the caller saw in it
-- The last of ARGV, which is taken away here, is the W3C traceparent of the call, '' if its trace is not kept.
--
-- Fails with GENERATION if Redis has another generation or none, and with BEHIND
-- if it has less of this generation than the caller saw: its data was lost, and
-- the stock must be rebuilt.
--
-- Everything else lives below the marker's prefix, `stock:<stage>:`
--   products        zset, all scores 0: the products' ids, by name
--   product:<id>    hash: on_hand available held sold short low price
--                   display_name description listed_ms
--   hold:<order>    hash: lines expire_ms; open holds only
--   leases          zset: orders of open holds by the end of their lease, in ms
--   receipts        hash: request id -> what it brought, as JSON
--   final:<shard>   hash: an order's 16 bytes -> its last tick * 4 + what became of it
--   ticks           hash: tick -> number of orders that are remembered with it
--   horizon         first tick of which nothing was forgotten; absent if nothing ever was
--   sweep           the shard that is looked at next for what may be forgotten
-- A final order costs about 25 bytes, because each shard is small enough to be a
-- listpack. Keys are derived from arguments, so this needs one Redis (with
-- replicas), not a Redis Cluster.

local FORMAT = '2'
local trace = table.remove(ARGV)
local generation = ARGV[1]
local marker = redis.call('HMGET', KEYS[1], 'generation', 'sequence', 'prefix', 'format')
if marker[1] ~= generation or marker[4] ~= FORMAT then
  return redis.error_reply('GENERATION ' .. (marker[1] or '0'))
end
local sequence = tonumber(marker[2])
if sequence < tonumber(ARGV[2]) then
  return redis.error_reply('BEHIND ' .. marker[2])
end

local prefix = marker[3]
local LEASES = prefix .. 'leases'
local TICKS = prefix .. 'ticks'
local HORIZON = prefix .. 'horizon'
local SHARDS = 16384
local TICK_MS = 600000
local SOLD, RELEASED = 1, 2
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local tick = math.floor(now / TICK_MS)

-- What a rebuild has read of the ledger must not be added to a stock that it is about to replace.
local function rebuild_under_way()
  return redis.call('EXISTS', KEYS[3]) == 1
end
local REBUILDING = 'STOCK_REBUILDING the ledger is being read'

local function hold_key(order)
  return prefix .. 'hold:' .. order
end

local NUMBERS = { 'on_hand', 'available', 'held', 'sold', 'short', 'low' }
local shelf = {}

-- The product's numbers, read once a script; nil if there is no such product.
local function product(id)
  if shelf[id] == nil then
    local key = prefix .. 'product:' .. id
    local found = redis.call('HMGET', key, 'on_hand', 'available', 'held', 'sold', 'short', 'low', 'price')
    shelf[id] = false
    if found[1] then
      shelf[id] = { id = id, key = key, price = found[7] }
      for index, name in ipairs(NUMBERS) do
        shelf[id][name] = tonumber(found[index])
      end
    end
  end
  return shelf[id] or nil
end

-- Writes what changed; every script that changes numbers ends with it.
local function save()
  for _, item in pairs(shelf) do
    if item and item.changed then
      redis.call('HSET', item.key, 'on_hand', item.on_hand, 'available', item.available,
        'held', item.held, 'sold', item.sold, 'short', item.short)
    end
  end
  redis.call('HSET', KEYS[1], 'sequence', sequence)
end

-- One entry of an event: the units that moved and the stock afterwards.
local function change(item, quantity)
  item.changed = true
  return { item.id, quantity, item.on_hand, item.available, item.held, item.sold }
end

local function append_event(kind, order, changes)
  sequence = sequence + 1
  local fields = { 'kind', kind, 'hold', order, 'at', now, 'changes', cjson.encode(changes) }
  if trace ~= '' then
    table.insert(fields, 'traceparent')
    table.insert(fields, trace)
  end
  redis.call('XADD', KEYS[2], generation .. '-' .. sequence, unpack(fields))
end

-- Takes available units for `field` (held or sold).
local function take(item, quantity, field)
  local before = item.available
  item.available = before - quantity
  item[field] = item[field] + quantity
  if item.available <= item.low and before > item.low then
    append_event('low', '', { change(item, item.available) })
  end
  return change(item, quantity)
end

-- Adds units to what is available; those that confirmed orders wait for go to them first.
local function make_available(item, quantity)
  local owed = math.min(item.short, quantity)
  item.short = item.short - owed
  item.sold = item.sold + owed
  item.available = item.available + quantity - owed
  return change(item, quantity)
end

-- Gives units back from `field` (held or sold).
local function give_back(item, quantity, field)
  item[field] = item[field] - quantity
  return make_available(item, quantity)
end

-- Sells available units, and notes as short what is not there.
local function sell(item, quantity)
  local there = math.min(item.available, quantity)
  local taken = take(item, there, 'sold')
  if there < quantity then
    item.short = item.short + quantity - there
    append_event('short', '', { change(item, quantity - there) })
  end
  return taken
end

-- The open hold of an order, or nil.
local function read_hold(order)
  local found = redis.call('HMGET', hold_key(order), 'lines', 'expire_ms')
  if not found[1] then return nil end
  return { lines = cjson.decode(found[1]), text = found[1], expire_ms = found[2] }
end

local function drop_hold(order)
  redis.call('DEL', hold_key(order))
  redis.call('ZREM', LEASES, order)
end

local function give_back_hold(order, hold)
  local changes = {}
  for index, line in ipairs(hold.lines) do
    changes[index] = give_back(product(line[1]), line[2], 'held')
  end
  drop_hold(order)
  return changes
end

-- The first of the lines whose product is not there, or nil.
local function unknown_product(lines)
  for _, line in ipairs(lines) do
    if not product(line[1]) then return line[1] end
  end
  return nil
end

-- Lines as they come in arguments: `count` pairs of product and quantity from `first` on.
local function lines_at(first, count)
  local lines = {}
  for index = 0, count - 1 do
    lines[index + 1] = { ARGV[first + 2 * index], tonumber(ARGV[first + 2 * index + 1]) }
  end
  return lines
end

local function place_of(order)
  local id = string.gsub(string.gsub(order, '-', ''), '%x%x', function(pair)
    return string.char(tonumber(pair, 16))
  end)
  local shard = math.floor(tonumber(string.sub(order, 1, 4), 16) * SHARDS / 65536)
  return prefix .. 'final:' .. shard, id
end

-- What became of an order for good: SOLD, RELEASED, or nil if nothing is remembered.
local function remembered(order)
  local key, id = place_of(order)
  local found = redis.call('HGET', key, id)
  return found and tonumber(found) % 4 or nil
end

local function remember(order, state)
  local key, id = place_of(order)
  local before = redis.call('HGET', key, id)
  if before then redis.call('HINCRBY', TICKS, math.floor(tonumber(before) / 4), -1) end
  redis.call('HSET', key, id, tick * 4 + state)
  redis.call('HINCRBY', TICKS, tick, 1)
end

-- Whether what became of something that happened at `at_ms` may have been forgotten since. Whatever was done
-- about it was remembered with a later tick; one more is for clocks that differ.
local function forgotten(at_ms)
  local horizon = redis.call('GET', HORIZON)
  return horizon and math.floor(at_ms / TICK_MS) <= tonumber(horizon)
end
