-- List a product or change its listing; an older listing than the present one is passed over.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  when it was listed, in ms
-- ARGV[4..8]  product, display name, description, price, low stock
--
-- Returns {sequence}.

local id = ARGV[4]
local key = prefix .. 'product:' .. id
local listed_ms = redis.call('HGET', key, 'listed_ms')
if not listed_ms then
  redis.call('HSET', key, 'on_hand', 0, 'available', 0, 'held', 0, 'sold', 0, 'short', 0)
  redis.call('ZADD', prefix .. 'products', 0, id)
end
if not listed_ms or tonumber(listed_ms) <= tonumber(ARGV[3]) then
  redis.call('HSET', key, 'listed_ms', ARGV[3], 'display_name', ARGV[5], 'description', ARGV[6],
    'price', ARGV[7], 'low', ARGV[8])
end
return { sequence }
