-- Add the units of a receipt that is in the ledger, once for each request id.
--
-- KEYS[1..3] ARGV[1..2]  see common.lua
-- ARGV[3..5]  request id, product, quantity
--
-- Returns {sequence, 'received' or 'repeated', on_hand, available, held, sold}, the stock just after it came in
--         {sequence, 'differs'}   {sequence, 'unknown'}   as reserve_receipt.lua
-- Fails with STOCK_REBUILDING while a rebuild reads the ledger.

if rebuild_under_way() then return redis.error_reply(REBUILDING) end
local item, quantity = product(ARGV[4]), tonumber(ARGV[5])
if not item then return { sequence, 'unknown' } end
local receipts = prefix .. 'receipts'
local found = redis.call('HGET', receipts, ARGV[3])
if found then
  local receipt = cjson.decode(found)
  if receipt[1] ~= item.id or receipt[2] ~= quantity then return { sequence, 'differs' } end
  if receipt[3] == true then return { sequence, 'repeated', item.on_hand, item.available, item.held, item.sold } end
  if receipt[3] then return { sequence, 'repeated', receipt[3], receipt[4], receipt[5], receipt[6] } end
end
item.on_hand = item.on_hand + quantity
local entered = make_available(item, quantity)
redis.call('HSET', receipts, ARGV[3],
  cjson.encode({ item.id, quantity, item.on_hand, item.available, item.held, item.sold }))
append_event('restocked', '', { entered })
save()
return { sequence, 'received', item.on_hand, item.available, item.held, item.sold }
