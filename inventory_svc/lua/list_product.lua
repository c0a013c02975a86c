-- List a product or change its listing; an older listing than the present one is passed over.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  when it was listed, in ms
-- ARGV[4]  most products that there may be
-- ARGV[5..9]  product, display name, description, price, low stock
--
-- Returns {sequence, 'listed'}, or {sequence, 'full'} if there are too many products.
-- Fails with STOCK_REBUILDING while a rebuild reads the ledger.

if rebuild_under_way() then return redis.error_reply(REBUILDING) end
local id = ARGV[5]
local key = prefix .. 'product:' .. id
local listed_ms = redis.call('HGET', key, 'listed_ms')
if not listed_ms then
  if redis.call('ZCARD', prefix .. 'products') >= tonumber(ARGV[4]) then return { sequence, 'full' } end
  redis.call('HSET', key, 'on_hand', 0, 'available', 0, 'held', 0, 'sold', 0, 'short', 0)
  redis.call('ZADD', prefix .. 'products', 0, id)
end
if not listed_ms or tonumber(listed_ms) <= tonumber(ARGV[3]) then
  redis.call('HSET', key, 'listed_ms', ARGV[3], 'display_name', ARGV[6], 'description', ARGV[7],
    'price', ARGV[8], 'low', ARGV[9])
end
return { sequence, 'listed' }
