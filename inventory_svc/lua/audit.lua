-- Check that units are conserved, for a page of products.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3]  the first name to check, as in browse.lua
-- ARGV[4]  most products to check
--
-- Returns {sequence, last name checked or '', {product that does not add up, ...},
--          number of products at their low stock or below, units short}

local broken, low, short = {}, 0, 0
local ids = redis.call('ZRANGEBYLEX', prefix .. 'products', ARGV[3], '+', 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do
  local item = product(id)
  local least = math.min(item.available, item.held, item.sold, item.short)
  if least < 0 or item.on_hand ~= item.available + item.held + item.sold then table.insert(broken, id) end
  if item.available <= item.low then low = low + 1 end
  short = short + item.short
end
return { sequence, ids[#ids] or '', broken, low, short }
