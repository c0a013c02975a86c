-- Validates the headers that matter: one that is invalid, duplicated, or asks for something unsupported is rejected. If
-- it were ignored, the caller would rely on a condition that is never checked.

local VISIBLE = "^[\33-\126]+$"

local function is_key(value)
  return value:find(VISIBLE) and #value <= 128
end

-- A single entity tag, or `*`: lists are not supported. Weak tags compare like strong ones, since all of ours are weak.
local function is_one_tag(value)
  return value == "*" or #value <= 66 and value:find('^[W/]*"[\33\35-\126]*"$') ~= nil
end

-- A list of entity tags, or `*`.
local function is_tags(value)
  return value == "*" or value:find('"', 1, true) and value:gsub('W?/?"[\33\35-\126]*"', ""):find("^[ \t,]*$") ~= nil
end

local function is_version(value)
  return value == "" or #value < 16 and value:find("^%d+$") ~= nil
end

-- Envoy joins several lines of this header; no token has a comma.
local function is_one_credential(value)
  return not value:find(",", 1, true)
end

-- Headers that some frameworks take the method from: ignored, they would make it another call than the sender means.
local OVERRIDES = { "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override" }
-- By header name: the check of a value, and the error if it fails.
local SINGLE = {
  { "Idempotency-Key", is_key, "must be 1 to 128 visible ASCII characters" },
  { "If-Match", is_one_tag, "must be one entity tag, as an answer's ETag has it" },
  { "Last-Event-ID", is_version, "must be the id of an event" },
  { "Authorization", is_one_credential, "must be one: Bearer and a token" },
}

-- Returns the name of the first invalid header, and the error.
local function wrong_header(headers)
  for _, each in ipairs(SINGLE) do
    local value = headers:get(each[1]:lower())
    if value then
      if headers:getNumValues(each[1]:lower()) > 1 then
        return each[1], "comes more than once"
      elseif not each[2](value) then
        return each[1], each[3]
      end
    end
  end
  for _, name in ipairs(OVERRIDES) do
    if headers:get(name:lower()) then
      return name, "the method is that of the request line"
    end
  end
  local tags = headers:get("if-none-match")
  if tags and not is_tags(tags) then
    return "If-None-Match", "must be entity tags, as an answer's ETag has them"
  end
end

-- A call requires that its conditions hold (RFC 9110, 13.1), so those that cannot be evaluated forbid it. So does an
-- idempotency key on a write that does not store one: its sender would retry the call and expect the first response.
local function wrong_condition(headers, verb, method)
  if headers:get("if-match") and not method.takes_etag then
    return "If-Match", "this request has no such condition"
  elseif verb == "GET" then
    return
  elseif headers:get("idempotency-key") and not method.takes_key then
    return "Idempotency-Key", "this request has no key of its own"
  end
  for _, name in ipairs({ "If-None-Match", "If-Unmodified-Since" }) do
    if headers:get(name:lower()) then
      return name, "this request has no such condition"
    end
  end
end

-- The base64 encodings of `"crit"`, by its offset in a group of three bytes.
local CRITICAL = { "ImNyaXQi", "Jjcml0I", "iY3JpdC" }

-- Returns whether a token's header requires an extension (RFC 7515, 4.1.11): none is supported.
local function is_critical(head)
  for _, written in ipairs(CRITICAL) do
    if head:find(written, 1, true) then
      return true
    end
  end
end

-- Schemes are case-insensitive (RFC 9110, 11.1), but Envoy's JWT filter expects "Bearer ". Other schemes are left
-- alone. Returns what is wrong with the token, or nil.
local function wrong_credentials(headers)
  local given = headers:get("authorization")
  if not given then
    return
  end
  local scheme, token = given:match("^(%a+) +(%S+)$")
  if not scheme or scheme:lower() ~= "bearer" then
    headers:remove("authorization")
    return
  end
  headers:replace("authorization", "Bearer " .. token)
  if is_critical(token:match("^[^.]*")) then
    return "the token asks for extensions (crit) that are not known here"
  end
end
