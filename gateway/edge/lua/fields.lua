-- Partial responses: `?fields=name,lines.product` keeps these fields of the response, also within arrays.
--
-- Responses are protobuf's JSON: no spaces, no duplicate keys, never deeper than the contract.

local FIELDS_PARAMETER = "fields"

local function parameter(query, wanted)
  for pair in query:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    if name == wanted then
      return unescaped((value:gsub("%+", " ")))
    end
  end
end

local function camel(name)
  return (name:gsub("_(%l)", string.upper))
end

-- Adds one path to the tree of fields to keep; returns false if the message has no such field. `true` keeps a whole
-- field.
local function add_path(tree, message, path)
  if ("." .. path .. "."):find("..", 1, true) then
    return false
  end
  local node = tree
  for name, dot in path:gmatch("([^.]+)(%.?)") do
    local key = camel(name)
    local kind = message and MESSAGES[message] and MESSAGES[message][key]
    if not kind or node == true then
      return kind ~= nil and node == true
    end
    if dot == "" then
      node[key] = true
    elseif node[key] ~= true then
      node[key] = node[key] or {}
    end
    node, message = node[key], kind
  end
  return true
end

-- Returns the tree of fields to keep, or nil and the first invalid path.
local function mask(text, message)
  local tree = {}
  for path in (text .. ","):gmatch("%s*([^,]*),") do
    -- Greedy, so that a long run of spaces is scanned once, not once for each space.
    path = path:match("^.*%S") or ""
    if not add_path(tree, message, path) then
      return nil, path
    end
  end
  return tree
end

local function after_string(text, at)
  local place = at + 1
  while true do
    local found = text:find('["\\]', place)
    if text:byte(found) == 34 then
      return found + 1
    end
    place = found + 2
  end
end

local function after_value(text, at)
  local first = text:sub(at, at)
  if first == '"' then
    return after_string(text, at)
  elseif first ~= "{" and first ~= "[" then
    return text:find("[,}%]]", at) or #text + 1
  end
  local depth, place = 0, at
  repeat
    place = text:find('["{}%[%]]', place)
    local what = text:sub(place, place)
    if what == '"' then
      place = after_string(text, place)
    else
      depth = depth + ((what == "{" or what == "[") and 1 or -1)
      place = place + 1
    end
  until depth == 0
  return place
end

local copy

-- Iterates over members or elements: calls `each` at every one, and returns the position after the end.
local function walk(text, at, each)
  local place = at + 1
  while not text:find("^[}%]]", place) do
    place = each(place)
    place = text:find("^,", place) and place + 1 or place
  end
  return place + 1
end

local function copy_object(text, at, tree, out)
  local members = {}
  local after = walk(text, at, function(place)
    local value = after_string(text, place) + 1
    local key = text:sub(place + 1, value - 3)
    if not tree[key] then
      return after_value(text, value)
    end
    local kept = {}
    local rest = copy(text, value, tree[key], kept)
    members[#members + 1] = '"' .. key .. '":' .. table.concat(kept)
    return rest
  end)
  out[#out + 1] = "{" .. table.concat(members, ",") .. "}"
  return after
end

local function copy_array(text, at, tree, out)
  local elements = {}
  local after = walk(text, at, function(place)
    local kept = {}
    local rest = copy(text, place, tree, kept)
    elements[#elements + 1] = table.concat(kept)
    return rest
  end)
  out[#out + 1] = "[" .. table.concat(elements, ",") .. "]"
  return after
end

copy = function(text, at, tree, out)
  local first = text:sub(at, at)
  if tree ~= true and first == "{" then
    return copy_object(text, at, tree, out)
  elseif tree ~= true and first == "[" then
    return copy_array(text, at, tree, out)
  end
  local after = after_value(text, at)
  out[#out + 1] = text:sub(at, after - 1)
  return after
end

local function pick(text, tree)
  local out = {}
  copy(text, 1, tree, out)
  return table.concat(out)
end
