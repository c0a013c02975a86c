-- What the edge does around the transcoder: it guards what comes in, and gives
-- JSON clients the HTTP that they expect. Requests and responses of gRPC clients
-- pass, except for headers that are internal.
--
-- The names in capitals that are not defined here are put before this text when
-- the configuration is made; gateway/filters.py says what is in them.

local METADATA = "shop.edge"
local TRACEPARENT = "^%x%x%-" .. ("%x"):rep(32) .. "%-" .. ("%x"):rep(16) .. "%-%x%x$"
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
local function remove_where(headers, unwanted)
  local found = {}
  for name, value in pairs(headers) do
    if unwanted(name, value) then
      found[#found + 1] = name
    end
  end
  remove(headers, found)
end

local function is_envoys(name)
  return name:sub(1, 8) == "x-envoy-"
end

-- HTTP allows more in headers than gRPC, whose servers end the call over it with INTERNAL, or never: three such
-- calls would make a breaker take a healthy replica away.
local function breaks_grpc(name, value)
  return not name:match("^:?[%l%d_.-]+$") or value:match("[^\32-\126]")
    or (name == "grpc-timeout" and not value:match("^%d%d?%d?%d?%d?%d?%d?%d?[HMSmun]$"))
    or (name:sub(-4) == "-bin" and not value:match("^[%w+/=,]*$"))
end

-- JSON clients have no business with headers that are gRPC's own.
local function is_grpcs(name)
  return (name:sub(1, 5) == "grpc-" and name ~= "grpc-timeout") or name:sub(-4) == "-bin"
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

-- Response --------------------------------------------------------------------

-- Status `x-http-code`, which a service sends with a success: 201, 202.
local function take_http_code(headers)
  local code = headers:get("x-http-code")
  if code and headers:get(":status") == "200" and code:match("^2%d%d$") then
    headers:replace(":status", code)
  end
end

-- The whole body, and the headers again: those from before the wait can't be used after it.
local function wait_for_body(handle)
  local body = handle:body(true)
  return handle:headers(), body, body:getBytes(0, body:length())
end

-- An error without details comes from the mesh: its text may tell what is inside.
local function failure_of(text)
  local code = text:match('^{"code":(%d+),')
  return code and text:match('"details":%[%]}%s*$') and FAILURES[tonumber(code)]
end

-- The transcoder says what it can't read as `field: why`, or in words about the whole body.
local function name_the_field(text, verb)
  local message = verb and text:match('"reason":"INVALID_REQUEST"}%],"message":"(.*)"}%s*$')
  if not message then
    return text
  end
  local field, why = message:match("^([%w_.%[%]]+): (.*)$")
  if not field and verb == "GET" then
    return text
  elseif not field then
    field, why = "body", "is not valid JSON: " .. (message:match("^(.-)\\n") or message)
  end
  return string.format(INVALID_FIELD, (field == "body" and "the body " or field .. ": ") .. why, field, why)
end

local function finish_error(handle, verb)
  local headers, body, text = wait_for_body(handle)
  local failure = failure_of(text)
  local better = failure and failure.body or name_the_field(text, verb)
  if failure then
    headers:replace(":status", failure.status)
  end
  if better ~= text then
    text = better
    body:setBytes(text)
  end
  local seconds = text:match('"retryDelay":%s*"([%d.]+)s"') or RETRY_AFTER[headers:get(":status")]
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
  -- Weak, because the same state is sent compressed and not, in whole and in part.
  headers:replace("etag", "W/" .. etag)
  headers:replace("cache-control", "private, no-cache")
  if matches(if_none_match, etag) then
    headers:replace(":status", "304")
    headers:remove("content-type")
    body:setBytes("")
    -- Of the answer that is not sent, as HTTP wants it; without any, Envoy would send an empty chunk.
    headers:replace("content-length", tostring(#text))
  end
end

local function remove_trailers(handle)
  local trailers = handle:trailers()
  if trailers then
    remove(trailers, GRPC_RESPONSE_HEADERS)
  end
end

local function finish_json(handle, status)
  local request = noted(handle)
  if status >= 400 then
    finish_error(handle, request.verb)
  elseif status == 200 and request.verb == "GET" then
    tag(handle, request.if_none_match or "")
  else
    handle:body(true)
  end
  remove_trailers(handle)
end

-- What a browser's EventSource needs to tell events apart and to resume.
local function as_event(json)
  local kind = json:match('^{"(%a+)":')
  local version = kind == "order" and json:match('"version":"(%d+)"')
  local id = version and "id: " .. version .. "\n" or ""
  return id .. "event: " .. kind .. "\ndata: " .. json .. "\n\n"
end

local function finish_events(handle)
  local rest = ""
  for chunk in handle:bodyChunks() do
    local text = rest .. chunk:getBytes(0, chunk:length())
    local after = text:match("^.*\n\n()") or 1
    rest = text:sub(after)
    chunk:setBytes((text:sub(1, after - 1):gsub("data: ({[^\n]*})\n\n", as_event)))
  end
  remove_trailers(handle)
end

-- gRPC: a status in the headers and without details is the mesh's.
local function finish_grpc(headers)
  remove(headers, INTERNAL_RESPONSE_HEADERS)
  local failure = FAILURES[tonumber(headers:get("grpc-status") or "0")]
  if failure and not headers:get("grpc-status-details-bin") then
    headers:replace("grpc-message", failure.message)
    headers:replace("grpc-status-details-bin", failure.details)
  end
end

local function finish_rest(handle, headers)
  take_http_code(headers)
  remove(headers, INTERNAL_RESPONSE_HEADERS)
  remove(headers, GRPC_RESPONSE_HEADERS)
  if headers:get("access-control-allow-origin") then
    headers:add("vary", "Origin")
  end
  local kind = headers:get("content-type")
  if kind == "application/json" then
    finish_json(handle, tonumber(headers:get(":status")))
  elseif kind == "text/event-stream" then
    headers:replace("cache-control", "no-store")
    finish_events(handle)
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  remove_where(headers, is_envoys)
  local parent = noted(handle).traceparent
  if parent then
    headers:replace("traceparent", parent)
  end
  if is_grpc(headers) then
    return finish_grpc(headers)
  end
  finish_rest(handle, headers)
end
