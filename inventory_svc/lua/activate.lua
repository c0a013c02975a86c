#!lua flags=allow-oom
-- Activate a rebuilt generation, if the caller still holds the rebuild's lock: enter what was sold, and name the
-- generation in the marker. It needs almost no memory, so allow-oom lets it run when Redis is at its maxmemory.
-- Without common.lua, which refuses every generation but the current one.
--
-- KEYS[1]  stock:marker
-- KEYS[2]  stock:rebuild   the lock of the rebuild
-- ARGV[1]  the lock's token
-- ARGV[2..4]  the new generation, its prefix and its format
-- ARGV[5..]  for each product that was sold: its id, available, sold, short
--
-- Returns 1, also in a repeat, or 0 if another replica took over or a later generation is there.

local present = redis.call('HMGET', KEYS[1], 'generation', 'prefix')
if present[1] == ARGV[2] and present[2] == ARGV[3] then return 1 end
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if tonumber(present[1] or '0') >= tonumber(ARGV[2]) then return 0 end
for at = 5, #ARGV, 4 do
  redis.call('HSET', ARGV[3] .. 'product:' .. ARGV[at],
    'available', ARGV[at + 1], 'sold', ARGV[at + 2], 'short', ARGV[at + 3])
end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'sequence', 0, 'prefix', ARGV[3], 'format', ARGV[4])
return 1
