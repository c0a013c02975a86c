-- Remove keys of stocks that do not count; never one of the stock that does.
--
-- KEYS[1]  stock:marker
-- KEYS[2]  stock:rebuild   the lock of the rebuild
-- ARGV[1]  the lock's token: the holder of the lock may remove any
-- ARGV[2]  the caller's own prefix, which it may remove also without the lock
-- ARGV[3..]  the keys
--
-- Returns how many were removed.

local counts = redis.call('HGET', KEYS[1], 'prefix')
local leads = redis.call('GET', KEYS[2]) == ARGV[1]
local removed = 0
for at = 3, #ARGV do
  local key = ARGV[at]
  local mine = string.sub(key, 1, #ARGV[2]) == ARGV[2]
  local serves = counts and string.sub(key, 1, #counts) == counts
  if (leads or mine) and not serves then removed = removed + redis.call('UNLINK', key) end
end
return removed
