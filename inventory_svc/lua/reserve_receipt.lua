-- Note what a request id is about to bring, so that it can't bring anything else.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3..5]  request id, product, quantity
--
-- Returns {sequence, 'reserved'}   it was not used before, or its units did not come in yet
--         {sequence, 'received', on_hand, available, held, sold}   they did; the stock then, or that of
--                                  now if the stock was rebuilt since
--         {sequence, 'differs'}   it was used for another product or quantity
--         {sequence, 'unknown'}   there is no such product

local item = product(ARGV[4])
if not item then return { sequence, 'unknown' } end
local receipts = prefix .. 'receipts'
local found = redis.call('HGET', receipts, ARGV[3])
if not found then
  redis.call('HSET', receipts, ARGV[3], cjson.encode({ ARGV[4], tonumber(ARGV[5]) }))
  return { sequence, 'reserved' }
end
local receipt = cjson.decode(found)
if receipt[1] ~= ARGV[4] or receipt[2] ~= tonumber(ARGV[5]) then return { sequence, 'differs' } end
if not receipt[3] then return { sequence, 'reserved' } end
if receipt[3] == true then return { sequence, 'received', item.on_hand, item.available, item.held, item.sold } end
return { sequence, 'received', receipt[3], receipt[4], receipt[5], receipt[6] }
