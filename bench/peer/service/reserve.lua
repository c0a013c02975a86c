-- Reserve all lines of an order or none; a repeat is told what the first was told.
--
-- KEYS[1] reservation:ORDER   KEYS[2..] stock:PRODUCT, hashes with `available` and `price` in cents
-- ARGV[1] seconds to remember it   ARGV[2..] a quantity for each product
--
-- Returns JSON: {"total": cents} or {"short": key}

local known = redis.call('GET', KEYS[1])
if known then return known end

local total = 0
for i = 2, #KEYS do
  local left = redis.call('HINCRBY', KEYS[i], 'available', -ARGV[i])
  if left < 0 then
    for taken = 2, i do redis.call('HINCRBY', KEYS[taken], 'available', ARGV[taken]) end
    return cjson.encode({ short = KEYS[i] })
  end
  total = total + ARGV[i] * redis.call('HGET', KEYS[i], 'price')
end
local reply = cjson.encode({ total = total })
redis.call('SET', KEYS[1], reply, 'EX', ARGV[1])
return reply
