-- Let a rebuilt generation take effect, if the caller still leads the rebuild.
-- This script stands alone: common.lua would refuse every generation but the present one.
--
-- KEYS[1]  stock:marker
-- KEYS[2]  stock:rebuild   the lock of the rebuild
-- ARGV[1]  the lock's token
-- ARGV[2]  the new generation
--
-- Returns 1, or 0 if another replica took over or a later generation is there.

if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local present = tonumber(redis.call('HGET', KEYS[1], 'generation') or '0')
if present >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'sequence', 0)
return 1
