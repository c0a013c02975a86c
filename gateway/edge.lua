-- What the edge does around the transcoder: it guards what comes in, and gives
-- JSON clients the HTTP that they expect. Requests and responses of gRPC clients
-- pass, except for headers that are internal.
--
-- `ROUTES` and `FAILURES` are put before this text when the configuration is
-- made; gateway/filters.py says what is in them.

local METADATA = "shop.edge"
local REQUEST_ID = { request_id = true, requestId = true }

-- Set by the edge or by services, believed inside, so never taken from outside.
local INTERNAL_REQUEST_HEADERS = {
  "x-customer-id", "x-operator", "x-http-code", "x-forwarded-client-cert", "x-goog-fieldmask",
}
-- Of no use to clients, or telling them what is behind the edge.
local INTERNAL_RESPONSE_HEADERS = { "x-http-code", "server", "x-powered-by" }
local GRPC_RESPONSE_HEADERS = {
  "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding", "grpc-encoding",
}

local function remove(headers, names)
  for _, name in ipairs(names) do
    headers:remove(name)
  end
end

-- Headers can't be removed while they are listed.
local function remove_prefix(headers, prefix)
  local found = {}
  for name in pairs(headers) do
    if name:sub(1, #prefix) == prefix then
      found[#found + 1] = name
    end
  end
  remove(headers, found)
end

local function is_grpc(headers)
  return (headers:get("content-type") or ""):sub(1, 16) == "application/grpc"
end

local function is_json(headers)
  local kind = (headers:get("content-type") or ""):lower()
  return kind == "application/json" or kind:match("^application/json%s*;%s*charset=\"?utf%-8\"?$") ~= nil
end

local function note(handle, key, value)
  handle:streamInfo():dynamicMetadata():set(METADATA, key, value)
end

local function noted(handle)
  return handle:streamInfo():dynamicMetadata():get(METADATA) or {}
end

-- Request ---------------------------------------------------------------------

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

local function has_body(headers)
  local length = headers:get("content-length")
  return headers:get("transfer-encoding") ~= nil or (length ~= nil and length ~= "0")
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
  if not (parent and parent:match("^%x%x%-%x+%-%x+%-%x%x$")) then
    local id = (headers:get("x-request-id") or ""):gsub("-", ""):lower()
    if #id ~= 32 or id:match("%X") then
      return
    end
    parent = "00-" .. id .. "-" .. id:sub(17) .. "-01"
    headers:replace("traceparent", parent)
  end
  note(handle, "traceparent", parent)
end

local function check(handle, headers, method, query)
  if has_body(headers) and not is_json(headers) then
    return refuse(handle, "415", "the body must be application/json", "Content-Type")
  end
  local unknown = unknown_parameter(query, method.query)
  if unknown then
    return refuse(handle, "400", "unknown query parameter '" .. unknown .. "'", unknown)
  end
  if method.needs_key and not headers:get("idempotency-key") and not has_parameter(query, REQUEST_ID) then
    refuse(handle, "400", "the header Idempotency-Key is required: a new value, best a UUID, for "
      .. "each new intent, and the same value for every repeat of it", "Idempotency-Key")
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  remove(headers, INTERNAL_REQUEST_HEADERS)
  remove_prefix(headers, "x-envoy-")
  trace(handle, headers)
  if is_grpc(headers) then
    return
  end
  local path, query = headers:get(":path"):match("^([^?#]*)%??([^#]*)")
  local route = find_route(path)
  if not route then
    return
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
  check(handle, headers, method, query)
end

-- Response --------------------------------------------------------------------

-- Status `x-http-code`, which a service sends with a success: 201, 202.
local function take_http_code(headers)
  local code = headers:get("x-http-code")
  if code and headers:get(":status") == "200" and code:match("^2%d%d$") then
    headers:replace(":status", code)
  end
end

local function set_body(handle, text)
  handle:headers():replace("content-length", tostring(handle:body(true):setBytes(text)))
end

-- The whole body, and the headers again: those from before the wait can't be used after it.
local function wait_for_body(handle)
  local body = handle:body(true)
  return handle:headers(), body, body:getBytes(0, body:length())
end

local function replace_body(headers, body, text)
  headers:replace("content-length", tostring(body:setBytes(text)))
end

-- An error without details comes from the mesh: its text may tell what is inside.
local function finish_error(handle)
  local headers, body, text = wait_for_body(handle)
  local code = text:match('^{"code":(%d+),')
  local failure = code and text:match('"details":%[%]}$') and FAILURES[tonumber(code)]
  if failure then
    text = failure.body
    headers:replace(":status", failure.status)
    replace_body(headers, body, text)
  end
  local seconds = text:match('"retryDelay":%s*"([%d.]+)s"')
  if seconds then
    headers:replace("retry-after", tostring(math.max(1, math.ceil(tonumber(seconds)))))
  end
end

local function matches(wanted, etag)
  if wanted == "*" then
    return true
  end
  for each in wanted:gmatch('"[^"]*"') do
    if each == etag then
      return true
    end
  end
  return false
end

-- The resource's own etag (AIP-154) is the representation's too; a page has none.
local function tag(handle, if_none_match)
  local headers, body, text = wait_for_body(handle)
  local value = not text:find('^{"%a+":%[') and text:match('"etag":"([%w%-_+/=.:]+)"')
  if not value then
    return
  end
  local etag = '"' .. value .. '"'
  headers:replace("etag", etag)
  headers:replace("cache-control", "private, no-cache")
  if matches(if_none_match, etag) then
    headers:replace(":status", "304")
    headers:remove("content-type")
    replace_body(headers, body, "")
  end
end

local function finish_json(handle, status)
  local request = noted(handle)
  if status >= 400 then
    finish_error(handle)
  elseif status == 200 and request.verb == "GET" then
    tag(handle, request.if_none_match or "")
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  remove_prefix(headers, "x-envoy-")
  local parent = noted(handle).traceparent
  if parent then
    headers:replace("traceparent", parent)
  end
  if is_grpc(headers) then
    return remove(headers, INTERNAL_RESPONSE_HEADERS)
  end
  take_http_code(headers)
  remove(headers, INTERNAL_RESPONSE_HEADERS)
  remove(headers, GRPC_RESPONSE_HEADERS)
  if headers:get("content-type") == "application/json" then
    finish_json(handle, tonumber(headers:get(":status")))
  end
end
