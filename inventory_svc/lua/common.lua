-- What every script starts with (Python puts this text before each of them).
--
-- KEYS[1]  stock:marker   hash: generation, sequence (of its last event)
-- KEYS[2]  stock:events   stream of the events that are not published yet
-- ARGV[1]  the generation that the caller knows
-- ARGV[2]  the highest sequence that the caller saw in it
--
-- Fails with GENERATION if Redis has another generation or none, and with BEHIND
-- if it has less of this generation than the caller saw: its data was lost, and
-- the stock must be rebuilt.
--
-- Everything else lives below the prefix `stock:<generation>:`
--   products        zset, all scores 0: the products' ids, by name
--   product:<id>    hash: on_hand available held sold short low price
--                   display_name description listed_ms
--   hold:<order>    hash: state lines expire_ms why (released | expired)
--   leases          zset: orders of HELD holds by the end of their lease, in ms
--   receipts        hash: request id -> what it brought, as JSON
-- Keys are derived from arguments, so this needs one Redis (with replicas), not a
-- Redis Cluster.

local generation = ARGV[1]
local marker = redis.call('HMGET', KEYS[1], 'generation', 'sequence')
if marker[1] ~= generation then
  return redis.error_reply('GENERATION ' .. (marker[1] or '0'))
end
local sequence = tonumber(marker[2])
if sequence < tonumber(ARGV[2]) then
  return redis.error_reply('BEHIND ' .. marker[2])
end

local prefix = 'stock:' .. generation .. ':'
local LEASES = prefix .. 'leases'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

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

local function tell(kind, order, changes)
  sequence = sequence + 1
  redis.call('XADD', KEYS[2], generation .. '-' .. sequence,
    'kind', kind, 'hold', order, 'at', now, 'changes', cjson.encode(changes))
end

-- Takes available units for `field` (held or sold).
local function take(item, quantity, field)
  local before = item.available
  item.available = before - quantity
  item[field] = item[field] + quantity
  if item.available <= item.low and before > item.low then
    tell('low', '', { change(item, item.available) })
  end
  return change(item, quantity)
end

-- Gives units back from `field`; those that confirmed orders wait for go to them first.
local function give_back(item, quantity, field)
  local owed = math.min(item.short, quantity)
  item.short = item.short - owed
  item[field] = item[field] - quantity
  item.sold = item.sold + owed
  item.available = item.available + quantity - owed
  return change(item, quantity)
end

-- Sells available units, and notes as short what is not there.
local function sell(item, quantity)
  local there = math.min(item.available, quantity)
  local taken = take(item, there, 'sold')
  if there < quantity then
    item.short = item.short + quantity - there
    tell('short', '', { change(item, quantity - there) })
  end
  return taken
end

local function read_hold(order)
  local found = redis.call('HMGET', hold_key(order), 'state', 'lines', 'expire_ms', 'why')
  if not found[1] then return nil end
  return { state = found[1], lines = cjson.decode(found[2]), text = found[2], expire_ms = found[3], why = found[4] }
end

-- Keeps a final hold for so long that no late call can meet its absence.
local function finish_hold(order, state, why, keep_ms)
  redis.call('HSET', hold_key(order), 'state', state, 'why', why)
  redis.call('HDEL', hold_key(order), 'expire_ms')
  redis.call('PEXPIRE', hold_key(order), keep_ms)
  redis.call('ZREM', LEASES, order)
end
