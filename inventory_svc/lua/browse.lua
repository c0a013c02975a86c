-- Read products by name, a page of them or one.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  the first name to return: '-', '[name' or '(name', as ZRANGEBYLEX has it
-- ARGV[4]  the last: '+' or '[name'
-- ARGV[5]  most products to return
--
-- Returns {sequence, {{product, on_hand, available, held, sold, short, display_name, description, price, low}, ...}}

local found = {}
local ids = redis.call('ZRANGEBYLEX', prefix .. 'products', ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])
for index, id in ipairs(ids) do
  local fields = redis.call('HMGET', prefix .. 'product:' .. id, 'on_hand', 'available', 'held', 'sold',
    'short', 'display_name', 'description', 'price', 'low')
  table.insert(fields, 1, id)
  found[index] = fields
end
return { sequence, found }
