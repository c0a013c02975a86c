-- What the edge does around the transcoder: it validates requests, and gives JSON clients the HTTP semantics that they
-- expect. Requests and responses of gRPC clients pass unchanged, except for internal headers.
--
-- The names in capitals that are not defined here are prepended when the configuration is generated; see
-- gateway/edge/filters.py.

local METADATA = "shop.edge"
local TRACEPARENT = "^%x%x%-" .. ("%x"):rep(32) .. "%-" .. ("%x"):rep(16) .. "%-%x%x$"
local INVALID_TOKEN = 'Bearer error="invalid_token"'
local REQUEST_ID = { request_id = true, requestId = true }

-- Set by the edge or by services and trusted inside the mesh, so never accepted from outside.
local INTERNAL_REQUEST_HEADERS = {
  "x-customer-id", "x-operator", "x-token-exp", "x-http-code", "x-forwarded-client-cert", "x-goog-fieldmask", "lb-token",
  -- Propagated along a whole trace and stored with it, so never accepted from outside.
  "baggage", "tracestate",
}
-- Useless to clients, or revealing what is behind the edge.
local INTERNAL_RESPONSE_HEADERS = { "x-http-code", "x-app-unreachable", "x-mesh-denied", "server", "x-powered-by" }
-- What a service says of a success beside its message.
local SUCCESS_HEADERS = { "location", "etag", "idempotency-replayed" }
local GRPC_RESPONSE_HEADERS = {
  "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding", "grpc-encoding",
}

local function remove(headers, names)
  for _, name in ipairs(names) do
    headers:remove(name)
  end
end

-- Headers cannot be removed while iterating over them.
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

-- HTTP allows more characters in headers than gRPC, whose servers fail the call with INTERNAL, or let it hang.
local function breaks_grpc(name, value)
  return not name:match("^:?[%l%d_.-]+$") or value:match("[^\32-\126]")
end

-- gRPC's own headers, including binary metadata, are reserved for the edge and the services, which trust them. That
-- includes deadlines: a JSON call ends when its caller disconnects.
local function is_grpcs(name)
  return name:sub(1, 5) == "grpc-" or name:sub(-4) == "-bin"
end

-- As Envoy defines it: application/grpc-web is not gRPC.
local function is_grpc(headers)
  local kind = headers:get("content-type") or ""
  return kind == "application/grpc" or kind:sub(1, 17) == "application/grpc+"
end

local function is_json(headers)
  local kind = (headers:get("content-type") or ""):lower()
  return kind == "application/json" or kind:match("^application/json%s*;%s*charset=\"?utf%-8\"?$") ~= nil
end

local function note(handle, key, value)
  handle:streamInfo():dynamicMetadata():set(METADATA, key, value)
end

-- A field of protobuf's wire format that is a text or a message.
local function encoded(number, value)
  local length, prefix = #value, ""
  while length > 127 do
    prefix, length = prefix .. string.char(length % 128 + 128), math.floor(length / 128)
  end
  return string.char(number * 8 + 2) .. prefix .. string.char(length) .. value
end

local function detail(kind, value)
  return encoded(3, encoded(1, "type.googleapis.com/google.rpc." .. kind) .. encoded(2, value))
end

-- The google.rpc.Status of a rejected gRPC call, as `grpc-status-details-bin` has it.
local function details(handle, failure, message, field)
  local info = detail("ErrorInfo", encoded(1, failure.reason) .. encoded(2, DOMAIN))
  local wrong = field and detail("BadRequest", encoded(1, encoded(1, field) .. encoded(2, message))) or ""
  return handle:base64Escape("\8" .. string.char(failure.grpc) .. encoded(2, message) .. info .. wrong)
end

local function refuse(handle, status, message, field, headers)
  if field then
    note(handle, "field", field)
  end
  local answer, failure = headers or {}, REFUSALS[status]
  answer[":status"] = status
  if is_grpc(handle:headers()) and failure then
    note(handle, "details", true)
    message = message ~= "" and message or failure.message
    answer["grpc-status-details-bin"] = details(handle, failure, message, field)
  end
  handle:respond(answer, message)
end

local function noted(handle)
  return handle:streamInfo():dynamicMetadata():get(METADATA) or {}
end
