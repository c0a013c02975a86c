-- wrk's script: places orders through the edge, each with a key and so an id of its own.
--
--   wrk … -s bench/orders.lua URL -- TOKENS PRODUCTS PREFIX LINES
--
-- TOKENS    a file with a token a line; calls take them in turn, so that no customer meets its own limit; - for none
-- PRODUCTS  comma-separated names of products; calls use them in turn
-- PREFIX    makes the keys of this run unlike those of others
-- LINES     orders in one call: 0 places a single order, more go as one batch
--
-- Prints one line of JSON at the end.

local threads = {}
local number = 0

function setup(thread)
  thread:set("id", #threads)
  table.insert(threads, thread)
end

local function products_in(text)
  local names = {}
  for name in string.gmatch(text, "[^,]+") do table.insert(names, name) end
  return names
end

local function heads_of(path)
  if path == "-" then return { { ["content-type"] = "application/json" } } end
  local heads = {}
  for token in io.lines(path) do
    table.insert(heads, { ["authorization"] = "Bearer " .. token, ["content-type"] = "application/json" })
  end
  return heads
end

function init(arguments)
  heads = heads_of(arguments[1])
  products = products_in(arguments[2])
  prefix, lines = arguments[3], tonumber(arguments[4])
end

local function order(at)
  return '{"lines":[{"product":"' .. products[at % #products + 1] .. '","quantity":1}]}'
end

local function batch(key)
  local requests = {}
  for at = 1, lines do
    requests[at] = '{"requestId":"' .. key .. "-" .. at .. '","order":' .. order(number + at) .. "}"
  end
  return '{"requests":[' .. table.concat(requests, ",") .. "]}"
end

function request()
  number = number + 1
  local key = prefix .. "-" .. id .. "-" .. number
  local head = heads[number % #heads + 1]
  if lines > 0 then return wrk.format("POST", "/v1/orders:batchCreate", head, batch(key)) end
  head["idempotency-key"] = key
  return wrk.format("POST", "/v1/orders", head, order(number))
end

-- The end of a run is summed up by summary.lua, which is beside this file.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "summary.lua")
