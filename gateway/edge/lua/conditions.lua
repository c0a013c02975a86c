-- Headers that count: one that cannot be used, comes twice, or asks for what is not done is told so. Passed over, it
-- would be a guard that nobody looks at.

local VISIBLE = "^[\33-\126]+$"

local function is_key(value)
  return value:find(VISIBLE) and #value <= 128
end

-- One entity tag, or any: a list of them has no use here. A weak one counts as a strong one, since ours all are weak.
local function is_one_tag(value)
  return value == "*" or #value <= 66 and value:find('^[W/]*"[\33\35-\126]*"$') ~= nil
end

local function is_version(value)
  return value == "" or #value < 16 and value:find("^%d+$") ~= nil
end

-- By what a caller writes: whether a value can be used, and what it must be.
local SINGLE = {
  { "Idempotency-Key", is_key, "must be 1 to 128 visible ASCII characters" },
  { "If-Match", is_one_tag, "must be one entity tag, as an answer's ETag has it" },
  { "Last-Event-ID", is_version, "must be the id of an event" },
  { "Authorization", nil, "" },
}

-- The name of the first header that cannot be used, and why.
local function wrong_header(headers)
  for _, each in ipairs(SINGLE) do
    local value = headers:get(each[1]:lower())
    if value then
      if headers:getNumValues(each[1]:lower()) > 1 then
        return each[1], "comes more than once"
      elseif each[2] and not each[2](value) then
        return each[1], each[3]
      end
    end
  end
end

-- A write may happen only under its conditions (RFC 9110, 13.1): those that cannot be looked at forbid it.
local function wrong_condition(headers, verb, method)
  if verb == "GET" then
    return
  elseif headers:get("if-match") and not method.takes_etag then
    return "If-Match", "this request has no conditions"
  end
  for _, name in ipairs({ "If-None-Match", "If-Unmodified-Since" }) do
    if headers:get(name:lower()) then
      return name, "this request has no such condition"
    end
  end
end

-- How `"crit"` is written in base64, by where it begins in a group of three bytes.
local CRITICAL = { "ImNyaXQi", "Jjcml0I", "iY3JpdC" }

-- Whether a token's header asks for an extension that its reader must know (RFC 7515, 4.1.11): none is known here.
local function is_critical(head)
  for _, written in ipairs(CRITICAL) do
    if head:find(written, 1, true) then
      return true
    end
  end
end

-- The name of a scheme may be written in any case (RFC 9110, 11.1); what reads tokens knows it as "Bearer ". Other schemes
-- are none of ours. Returns what is wrong with the token, or nothing.
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
