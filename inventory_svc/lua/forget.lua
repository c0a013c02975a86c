-- Forget final orders that are old enough, or too many, a few shards a call.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  how long they are remembered, in ms
-- ARGV[4]  most orders that are remembered, except those of the last half hour
-- ARGV[5]  shards to look at
--
-- Returns {sequence, orders forgotten, orders remembered, 1 if more are to be forgotten}

local RECENT = 3
local counts, order_of_ticks, total = {}, {}, 0
local fields = redis.call('HGETALL', TICKS)
for at = 1, #fields, 2 do
  local count = tonumber(fields[at + 1])
  if count > 0 then
    counts[tonumber(fields[at])] = count
    table.insert(order_of_ticks, tonumber(fields[at]))
    total = total + count
  end
end
table.sort(order_of_ticks)

local horizon = tonumber(redis.call('GET', HORIZON) or '0')
local oldest = math.max(horizon, tick - math.floor(tonumber(ARGV[3]) / TICK_MS))
local kept = total
for _, one in ipairs(order_of_ticks) do
  if one >= oldest and (kept <= tonumber(ARGV[4]) or one > tick - RECENT) then break end
  oldest = math.max(oldest, one + 1)
  kept = kept - counts[one]
end
if kept < total and oldest > horizon then
  horizon = oldest
  redis.call('SET', HORIZON, horizon)
end

local function forget_of(key)
  local found = redis.call('HGETALL', key)
  local old = {}
  for at = 1, #found, 2 do
    local when = math.floor(tonumber(found[at + 1]) / 4)
    if when < horizon then
      table.insert(old, found[at])
      redis.call('HINCRBY', TICKS, when, -1)
    end
  end
  if #old > 0 then redis.call('HDEL', key, unpack(old)) end
  return #old
end

local dropped = 0
if kept < total then
  local shard = tonumber(redis.call('GET', prefix .. 'sweep') or '0')
  for _ = 1, tonumber(ARGV[5]) do
    dropped = dropped + forget_of(prefix .. 'final:' .. shard)
    shard = (shard + 1) % SHARDS
  end
  redis.call('SET', prefix .. 'sweep', shard)
else
  for at = 1, #fields, 2 do
    if tonumber(fields[at + 1]) <= 0 then redis.call('HDEL', TICKS, fields[at]) end
  end
end
return { sequence, dropped, total - dropped, (kept < total - dropped) and 1 or 0 }
