-- Rejects or completes a request before it is forwarded.

local ACCESS_TOKEN = { access_token = true }

local function find_route(path)
  for _, route in ipairs(ROUTES) do
    if path:match(route.pattern) then
      return route
    end
  end
end

-- Returns the first parameter that is unknown, or duplicated in either spelling, and the error.
local function wrong_parameter(query, known)
  local seen = {}
  for pair in query:gmatch("[^&]+") do
    local name = pair:match("^[^=]*")
    local head, rest = name:match("^([^.]*)(.*)$")
    local meant = known[head] and known[head] .. rest
    if not meant then
      return name, "unknown query parameter '" .. name .. "'"
    elseif name == pair then
      return meant, "the query parameter '" .. name .. "' has no value"
    elseif seen[meant] then
      return meant, "the query parameter '" .. name .. "' comes more than once"
    end
    seen[meant] = true
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

-- A trace id for callers without one: the random request id, so that both identify the same call.
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

-- A watcher that reconnects sends the last version it received (Server-Sent Events, Last-Event-ID).
local function resume(headers, path, query)
  local seen = headers:get("last-event-id")
  if not seen or seen == "" then
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
  local headers = handle:headers()
  -- A body without content-length is checked once it is complete (body.lua).
  local length = tonumber(headers:get("content-length") or 0)
  if length > 0 and not is_json(headers) then
    return refuse(handle, "415", "the body must be application/json", "Content-Type")
  elseif (headers:get("content-encoding") or "identity"):lower() ~= "identity" then
    return refuse(handle, "415", "the body must not be compressed", "Content-Encoding")
  end
  local header, unmet = wrong_condition(headers, verb, method)
  if unmet then
    return refuse(handle, "400", header .. ": " .. unmet, header)
  end
  local parameter_name, problem = wrong_parameter(query, method.query)
  if problem then
    return refuse(handle, "400", problem, parameter_name)
  end
  local fields = parameter(query, FIELDS_PARAMETER)
  local _, wrong = mask(fields or "*", method.output)
  if fields and wrong then
    return refuse(handle, "400", "fields: the answer has no field '" .. wrong .. "'", FIELDS_PARAMETER)
  end
  note(handle, "fields", fields or "")
  note(handle, "output", method.output)
  note(handle, "input", method.input)
  note(handle, "prefix", method.prefix)
  if method.needs_key and not headers:get("idempotency-key") and not has_parameter(query, REQUEST_ID) then
    refuse(handle, "400", "the header Idempotency-Key is required: a new value, best a UUID, for "
      .. "each new intent, and the same value for every repeat of it", "Idempotency-Key")
  end
end

-- Returns the status and the error of a gRPC call that must not reach a service, or nil.
local function wrong_call(headers, path)
  local kind, encoding = headers:get("content-type"), headers:get("grpc-encoding")
  if not METHODS[path] then
    return "501", "unknown method"
  elseif headers:get(":method") ~= "POST" then
    return "405", "a gRPC call is a POST"
  elseif kind ~= "application/grpc" and kind ~= "application/grpc+proto" then
    return "415", "messages must be application/grpc or application/grpc+proto"
  elseif headers:get("te") ~= "trailers" then
    return "400", "the header 'te: trailers' is required"
  elseif encoding and encoding ~= "identity" then
    return "501", "messages must not be compressed"
  end
end

-- Returns the response to something that is not a valid request, or nil.
local function refuse_at_sight(handle, headers, path, query)
  local status, why, field = wrong_path(path, query)
  if headers:get(":method") == "CONNECT" then
    return refuse(handle, "404", "") or true
  elseif (headers:get(":authority") or ""):find(",", 1, true) then
    -- Envoy joins several Host lines (RFC 9112, 3.2).
    return refuse(handle, "400", "Host: comes more than once", "Host") or true
  elseif headers:get("upgrade") then
    -- Nothing here is upgraded, and a request that wants to be has no end that could be waited for.
    return refuse(handle, "400", "Upgrade: there is nothing to upgrade to", "Upgrade") or true
  elseif status then
    return refuse(handle, status, why, field) or true
  elseif has_parameter(query, ACCESS_TOKEN) then
    return refuse(handle, "400", "a token belongs in the header Authorization", "access_token") or true
  elseif (tonumber(headers:get("content-length") or 0) or 0) > MAX_BODY_BYTES then
    return refuse(handle, "413", "") or true
  end
end

-- Calls of the contract, as REST or gRPC; pages accept any header.
local function is_api(path)
  return METHODS[path] or PREFIXES[path:match("^/([^/]*)")]
end

-- Returns the verb; HEAD is a GET whose response has no body (RFC 9110, 9.3.2), and the contract has only GET.
local function verb_of(handle, headers, route)
  local verb = headers:get(":method")
  if verb ~= "HEAD" or not route.head then
    return verb
  end
  note(handle, "head", true)
  headers:replace(":method", "GET")
  return "GET"
end

local function prepare(handle, headers, method, verb, path, query)
  note(handle, "verb", verb)
  note(handle, "if_none_match", headers:get("if-none-match") or "")
  note(handle, "conditional", headers:get("if-match") ~= nil)
  if method.query.from_version then
    resume(headers, path, query)
  end
  check(handle, verb, method, query)
end

local function on_json(handle, headers, path, query)
  if SERVICES[path:match("^/([^/]+)/[^/]+$")] then
    return refuse(handle, "415", "this path takes application/grpc; the same call for JSON has a path under /v1/",
      "Content-Type")
  end
  local route = find_route(path)
  if not route then
    return PREFIXES[path:match("^/([^/]*)")] and refuse(handle, "404", "")
  end
  -- Preflights of allowed origins have already been answered.
  local verb = verb_of(handle, headers, route)
  local method = route.methods[verb]
  if not method then
    return refuse(handle, "405", verb .. " is not supported here, only " .. route.allow, nil, { allow = route.allow })
  end
  prepare(handle, headers, method, verb, path, query)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local grpc, whole = is_grpc(headers), headers:get(":path") or ""
  local path, query = whole:match("^([^?#]*)%??([^#]*)")
  -- Before any of them is removed.
  local header, unusable = wrong_header(headers)
  local credentials = wrong_credentials(headers)
  local status, why
  if grpc then
    status, why = wrong_call(headers, whole)
  end
  remove(headers, INTERNAL_REQUEST_HEADERS)
  remove_where(headers, function(name, value)
    return is_envoys(name) or breaks_grpc(name, value) or is_grpcs(name)
  end)
  trace(handle, headers)
  note(handle, "seen", true)
  note(handle, "bare", headers:get(":method") == "HEAD")
  if status then
    return refuse(handle, status, why)
  elseif unusable and is_api(path) then
    return refuse(handle, "400", header .. ": " .. unusable, header)
  elseif credentials then
    return refuse(handle, "401", credentials, nil, { ["www-authenticate"] = INVALID_TOKEN })
  elseif not refuse_at_sight(handle, headers, path, query) and not grpc then
    on_json(handle, headers, path, query)
  end
end
