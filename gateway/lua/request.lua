-- What the edge refuses or completes before a request goes on.

local function refuse(handle, status, message, field, headers)
  if field then
    note(handle, "field", field)
  end
  local answer = headers or {}
  answer[":status"] = status
  handle:respond(answer, message)
end

local function find_route(path)
  for _, route in ipairs(ROUTES) do
    if path:match(route.pattern) then
      return route
    end
  end
end

-- Bytes of the body; one that comes in chunks is waited for, since only its end tells.
local function body_length(handle, verb)
  local length = handle:headers():get("content-length")
  if length or verb == "GET" then
    return tonumber(length or 0)
  end
  return handle:body(true):length()
end

local function unknown_parameter(query, known)
  for pair in query:gmatch("[^&]+") do
    local name = pair:match("^[^=]*")
    if not known[name:match("^[^.]*")] then
      return name
    end
  end
end

local function has_parameter(query, names)
  for pair in query:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=(.+)$")
    if value and names[name] then
      return true
    end
  end
  return false
end

-- A trace id for callers who bring none: the request id, which is random, so that both find the same.
local function trace(handle, headers)
  local parent = headers:get("traceparent")
  if not (parent and parent:match(TRACEPARENT)) then
    local id = (headers:get("x-request-id") or ""):gsub("-", ""):lower()
    if #id ~= 32 or id:match("%X") then
      return
    end
    parent = "00-" .. id .. "-" .. id:sub(17) .. "-01"
    headers:replace("traceparent", parent)
  end
  note(handle, "traceparent", parent)
end

-- A watcher that comes back says which version it saw last (Server-Sent Events, Last-Event-ID).
local function resume(headers, path, query)
  local seen = headers:get("last-event-id")
  if not (seen and seen:match("^%d+$") and #seen < 16) then
    return
  end
  local kept = { string.format("from_version=%.0f", tonumber(seen) + 1) }
  for pair in query:gmatch("[^&]+") do
    if not pair:match("^from_?[vV]ersion=") then
      kept[#kept + 1] = pair
    end
  end
  headers:replace(":path", path .. "?" .. table.concat(kept, "&"))
end

local function check(handle, verb, method, query)
  local length = body_length(handle, verb)
  local headers = handle:headers()
  if length > MAX_BODY_BYTES then
    return refuse(handle, "413", "")
  end
  if length > 0 and not is_json(headers) then
    return refuse(handle, "415", "the body must be application/json", "Content-Type")
  end
  local unknown = unknown_parameter(query, method.query)
  if unknown then
    return refuse(handle, "400", "unknown query parameter '" .. unknown .. "'", unknown)
  end
  local fields = parameter(query, FIELDS_PARAMETER)
  local _, wrong = mask(fields or "*", method.output)
  if fields and wrong then
    return refuse(handle, "400", "fields: the answer has no field '" .. wrong .. "'", FIELDS_PARAMETER)
  end
  note(handle, "fields", fields or "")
  note(handle, "output", method.output)
  if method.needs_key and not headers:get("idempotency-key") and not has_parameter(query, REQUEST_ID) then
    refuse(handle, "400", "the header Idempotency-Key is required: a new value, best a UUID, for "
      .. "each new intent, and the same value for every repeat of it", "Idempotency-Key")
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local grpc = is_grpc(headers)
  remove(headers, INTERNAL_REQUEST_HEADERS)
  remove_where(headers, function(name, value)
    return is_envoys(name) or breaks_grpc(name, value) or (not grpc and is_grpcs(name))
  end)
  trace(handle, headers)
  note(handle, "seen", true)
  if grpc then
    return
  end
  local path, query = (headers:get(":path") or ""):match("^([^?#]*)%??([^#]*)")
  -- Whether it separates segments is read differently by different readers.
  if path:match("%%2[fF]") or path:match("%%5[cC]") then
    return refuse(handle, "400", "the path must have no escaped slash", "path")
  end
  if SERVICES[path:match("^/([^/]+)/[^/]+$")] then
    return refuse(handle, "415", "this path takes application/grpc; the same call for JSON has a path under /v1/",
      "Content-Type")
  end
  local route = find_route(path)
  if not route then
    return PREFIXES[path:match("^/([^/]*)")] and refuse(handle, "404", "")
  end
  local verb = headers:get(":method")
  if verb == "OPTIONS" and headers:get("access-control-request-method") then
    return
  end
  local method = route.methods[verb]
  if not method then
    return refuse(handle, "405", verb .. " is not supported here, only " .. route.allow, nil, { allow = route.allow })
  end
  note(handle, "verb", verb)
  note(handle, "if_none_match", headers:get("if-none-match") or "")
  if method.query.from_version then
    resume(headers, path, query)
  end
  check(handle, verb, method, query)
end
