-- Read one hold.
--
-- KEYS[1..2] ARGV[1..2]  see common.lua
-- ARGV[3]  the order
--
-- Returns {sequence, state, lines, expire_ms or ''}, or {sequence} if there is none.

local hold = read_hold(ARGV[3])
if not hold then return { sequence } end
return { sequence, hold.state, hold.text, hold.expire_ms or '' }
