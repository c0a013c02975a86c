-- Validates a JSON body against its message, before the transcoder parses it leniently: the transcoder drops unknown
-- fields, lets the last duplicate win, and accepts invalid JSON.
--
-- Strict, by RFC 8259 and protobuf's JSON mapping. One pass over the text; its depth is bounded by the contract, its
-- duration by MAX_VALUES.

local MAX_VALUES, MAX_NUMBER = 100000, 64
local QUOTE, COMMA, COLON, BACKSLASH, OPEN, CLOSE, FIRST, LAST = 34, 44, 58, 92, 123, 125, 91, 93
local KINDS = { text = "a string", bool = "true or false", number = "a number", enum = "the name of a value" }

local find, byte_at = string.find, string.byte
local text, at, values, path, depth

local function place(name)
  local parts = {}
  for level = 1, depth do
    local part = path[level]
    parts[level] = type(part) == "number" and "[" .. part .. "]" or (level > 1 and "." or "") .. part
  end
  if name then
    parts[#parts + 1] = (depth > 0 and "." or "") .. name
  end
  return table.concat(parts)
end

local function wrong(where, why)
  error({ where ~= "" and where or "body", why }, 0)
end

local function not_json(why)
  wrong("body", "is not valid JSON: " .. why .. " at byte " .. math.min(at, #text + 1))
end

local function wrong_here(why)
  wrong(place(), why)
end

-- Returns the next byte that is not white space, without consuming it.
local function peek()
  local byte = byte_at(text, at)
  if byte and byte > 32 then
    return byte
  end
  at = find(text, "[^ \t\r\n]", at) or #text + 1
  return byte_at(text, at)
end

local function count()
  values = values + 1
  if values > MAX_VALUES then
    wrong("body", "has more than " .. MAX_VALUES .. " values")
  end
end

local function after_escape(place_of)
  count()
  local _, last = text:find('^\\["\\/bfnrt]', place_of)
  if not last then
    _, last = text:find("^\\u%x%x%x%x", place_of)
  end
  if not last then
    at = place_of
    not_json("an unknown escape")
  end
  return last + 1
end

-- Consumes a string; its first byte is the quote.
local function skip_string()
  local _, last = find(text, '^"[^"\\%z\1-\31]*"', at)
  if last then
    at = last + 1
    return
  end
  local from = at + 1
  while true do
    local found = text:find('["\\%z\1-\31]', from)
    local byte = found and text:byte(found)
    if byte == QUOTE then
      at = found + 1
      return
    elseif byte ~= BACKSLASH then
      at = found or #text + 1
      not_json(found and "a control character in a string" or "the end of a string is missing")
    end
    from = after_escape(found)
  end
end

local function is_number(token)
  if #token > MAX_NUMBER or token:find("^-?0%d") then
    return false
  elseif token:find("^-?%d+$") then
    return true
  end
  local fraction, exponent = token:match("^-?%d+(%.?%d*)([eE]?.*)$")
  return fraction and fraction ~= "." and (exponent == "" or exponent:find("^[eE][+-]?%d+$") ~= nil)
end

-- Consumes `true`, `false`, `null` or a number, and returns which.
local function skip_word()
  local _, last = find(text, "^[1-9]%d?%d?[,}]", at)
  if last then
    at = last
    return "number"
  end
  local token = text:match("^[%w.+-]+", at)
  if not token then
    not_json(peek() and "a value is missing" or "it ends too early")
  end
  local kind = (token == "true" or token == "false") and "bool" or token == "null" and "null"
    or is_number(token) and "number"
  if not kind then
    not_json("an unknown word, or no number,")
  end
  at = at + #token
  return kind
end

local FITS = {
  text = { text = true },
  bool = { bool = true },
  -- Integers may be strings, since JavaScript truncates long ones.
  number = { number = true, text = true },
  enum = { text = true, number = true },
}

local function scalar(kind)
  local byte, found = peek(), "text"
  if byte == QUOTE then
    skip_string()
  elseif byte == OPEN or byte == FIRST then
    wrong_here("must be " .. KINDS[kind])
  else
    found = skip_word()
  end
  if not FITS[kind][found] then
    wrong_here(found == "null" and "must not be null" or "must be " .. KINDS[kind])
  end
end

local object

local function message_here(name)
  if peek() ~= OPEN then
    if peek() ~= QUOTE and peek() ~= FIRST then
      skip_word()
    end
    wrong_here("must be an object")
  end
  object(REQUESTS[name])
end

local function value(field)
  count()
  if not field.message then
    return scalar(field.kind)
  end
  message_here(field.message)
end

-- Returns whether another item follows between the brackets; consumes the separator or the closing bracket.
local function more(close)
  local byte = peek()
  at = at + 1
  if byte == COMMA then
    return true
  elseif byte ~= close then
    at = at - 1
    not_json(byte and "a comma or the closing bracket is missing" or "it ends too early")
  end
end

-- Consumes the opening bracket, and returns whether anything follows before the closing one.
local function begin(close)
  at = at + 1
  if peek() ~= close then
    return true
  end
  at = at + 1
end

local function list(field)
  if peek() ~= FIRST then
    wrong_here("must be a list")
  end
  depth = depth + 1
  local index, going_on = 0, begin(LAST)
  while going_on do
    path[depth] = index
    index = index + 1
    value(field)
    going_on = more(LAST)
  end
  depth = depth - 1
end

-- Consumes the name of a member with its colon. A name with escapes is not one of the contract's.
local function member()
  if peek() ~= QUOTE then
    not_json("a name in double quotes is missing")
  end
  local _, last, name = find(text, '^"([%w_]*)":', at)
  if last then
    at = last + 1
    return name
  end
  local from = at + 1
  skip_string()
  name = text:sub(from, at - 2)
  if peek() ~= COLON then
    not_json("a colon is missing")
  end
  at = at + 1
  return name
end

local function shown(name)
  return #name <= 64 and name:find("^[%w_.-]+$") and name or "(a name that no field has)"
end

-- Returns the field of this name, rejecting duplicates in the object.
local function known(fields, seen, name)
  local field = fields[name]
  if not field then
    depth = depth - 1
    wrong(place(shown(name)), "unknown field")
  elseif seen[field.name] then
    depth = depth - 1
    wrong(place(field.name), "comes more than once")
  end
  seen[field.name] = true
  path[depth] = field.name
  return field
end

object = function(fields)
  local seen = {}
  depth = depth + 1
  local going_on = begin(CLOSE)
  while going_on do
    local field = known(fields, seen, member())
    if peek() == 110 and find(text, "^null", at) then
      -- A null field counts as absent.
      skip_word()
      count()
    elseif field.list then
      list(field)
    else
      value(field)
    end
    going_on = more(CLOSE)
  end
  depth = depth - 1
end

local function whole(message)
  message_here(message)
  if peek() then
    not_json("something follows the end")
  end
end

-- Returns where and why a body is not valid JSON of the message at `prefix` in the request; or nil.
local function wrong_json(body, message, prefix)
  text, at, values, path, depth = body, 1, 0, { prefix }, prefix == "" and 0 or 1
  local good, problem = pcall(whole, message)
  text = nil
  if good then
    return
  elseif type(problem) ~= "table" then
    -- A bug in this script. Envoy would forward the request, but an unchecked body must not pass.
    return "body", "cannot be checked: " .. tostring(problem)
  end
  return problem[1], problem[2]
end

-- The first bytes of bodies in other encodings: gzip, UTF-16 and UTF-32 with and without a byte order mark.
local function is_encoded(body)
  local a, b = body:byte(1, 2)
  return a == 31 and b == 139 or a == 254 and b == 255 or a == 255 and b == 254 or a == 0 or b == 0
end
