-- What the edge does around the transcoder: it guards what comes in, and gives
-- JSON clients the HTTP that they expect. Requests and responses of gRPC clients
-- pass, except for headers that are internal.
--
-- The names in capitals that are not defined here are put before this text when
-- the configuration is made; gateway/edge/filters.py says what is in them.

local METADATA = "shop.edge"
local TRACEPARENT = "^%x%x%-" .. ("%x"):rep(32) .. "%-" .. ("%x"):rep(16) .. "%-%x%x$"
local INVALID_TOKEN = 'Bearer error="invalid_token"'
local REQUEST_ID = { request_id = true, requestId = true }

-- Set by the edge or by services, believed inside, so never taken from outside.
local INTERNAL_REQUEST_HEADERS = {
  "x-customer-id", "x-operator", "x-token-exp", "x-http-code", "x-forwarded-client-cert", "x-goog-fieldmask", "lb-token",
  -- Handed on along a whole trace and kept with it; who calls from outside has no say in what that is.
  "baggage", "tracestate",
}
-- Of no use to clients, or telling them what is behind the edge.
local INTERNAL_RESPONSE_HEADERS = { "x-http-code", "x-app-unreachable", "server", "x-powered-by" }
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

-- HTTP allows more in headers than gRPC, whose servers end the call over it with INTERNAL, or never.
local function breaks_grpc(name, value)
  return not name:match("^:?[%l%d_.-]+$") or value:match("[^\32-\126]")
end

-- gRPC's own headers, binary metadata included, are between the edge and the services: none of ours means anything to
-- them, and a server believes them. Deadlines too: a caller's own ends the call when the caller hangs up.
local function is_grpcs(name)
  return name:sub(1, 5) == "grpc-" or name:sub(-4) == "-bin"
end

-- As Envoy sees it: application/grpc-web is none.
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

local function refuse(handle, status, message, field, headers)
  if field then
    note(handle, "field", field)
  end
  local answer = headers or {}
  answer[":status"] = status
  handle:respond(answer, message)
end

local function noted(handle)
  return handle:streamInfo():dynamicMetadata():get(METADATA) or {}
end
