-- Completes responses to JSON clients with status and headers, and formats errors of the mesh.

-- google.rpc.Code.RESOURCE_EXHAUSTED and UNAVAILABLE.
local TOO_MANY, AWAY = 8, 14

-- What the client is told in place of the response's own error, or nil.
local function meant(headers, request)
  -- A circuit breaker's limit of calls in flight is reached: overload, not an outage.
  if headers:get("x-envoy-overloaded") then
    return FAILURES[TOO_MANY]
  end
  -- A sidecar refused the edge itself (istio/breakers.yaml). For a call of the contract that is a mistake in the mesh's
  -- rules, never the caller's: the requests' filter forwards no others. Of the pages, a policy may refuse some.
  local of_contract = request.verb or is_grpc(headers)
  return of_contract and headers:get("x-mesh-denied") and FAILURES[AWAY]
end

-- Returns the whole body, and the headers again: the handle from before the wait is no longer valid.
local function wait_for_body(handle)
  local body = handle:body(true)
  return handle:headers(), body, body:getBytes(0, body:length())
end

-- An error without details comes from the mesh: its text may reveal internals.
local function failure_of(text)
  local code = text:match('^{"code":(%d+),')
  return code and text:match('"details":%[%]}%s*$') and FAILURES[tonumber(code)]
end

-- The transcoder reports parse errors as `field: why`, or as text about the whole body.
local function name_the_field(text, verb)
  local message = verb and text:match('"reason":"INVALID_REQUEST"}%],"message":"(.*)"}%s*$')
  if not message then
    return text
  end
  local field, why = message:match("^([%w_.%[%]]+): (.*)$")
  local bound = not field and message:match(" of the field ([%w_.]+) is conflicting with the value ")
  if bound then
    field, why = bound, "differs from the one in the path"
  elseif not field and verb == "GET" then
    return text
  elseif not field then
    -- What follows the first line shows the body, whatever that is.
    field, why = "body", "is not valid JSON: " .. message:gsub("\\n.*", ""):gsub("\\u000a.*", "")
  end
  return string.format(INVALID_FIELD, (field == "body" and "the body " or field .. ": ") .. why, field, why)
end

-- Envoy reports this as an invalid token, whatever the token.
local function lacks_keys(message)
  return message:find("Jwks remote fetch is failed", 1, true) and KEYS_UNAVAILABLE
end

local function finish_error(handle, request, instead)
  local headers, body, text = wait_for_body(handle)
  local verb, status = request.verb, headers:get(":status")
  local failure = instead or status == "401" and lacks_keys(text) or failure_of(text)
  local better = failure and failure.body or name_the_field(text, verb)
  if failure then
    headers:replace(":status", failure.status)
    headers:remove("www-authenticate")
  elseif status == "409" and request.conditional and text:find('"reason":%s*"ORDER_CHANGED"') then
    -- The condition was If-Match (RFC 9110, 13.2.2).
    headers:replace(":status", "412")
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

-- The resource's etag (AIP-154) is also that of the representation; a list page has none.
local function tag(handle, if_none_match)
  local headers, body, text = wait_for_body(handle)
  -- AIP-154 has the quotes in the value.
  local value = not text:find('^{"%a+":%[') and text:match('"etag":"\\?"?([%w%-_+/=.:]+)\\?"?"')
  if not value then
    return
  end
  local etag = '"' .. value .. '"'
  -- Weak, because the same state is sent compressed or not, complete or partial.
  headers:replace("etag", "W/" .. etag)
  headers:replace("cache-control", "private, no-cache")
  if matches(if_none_match, etag) then
    headers:replace(":status", "304")
    headers:remove("content-type")
    body:setBytes("")
    -- The length of the body that is not sent, as HTTP requires; without it, Envoy would send an empty chunk.
    headers:replace("content-length", tostring(#text))
  end
end

local function remove_trailers(handle, names)
  local trailers = handle:trailers()
  if trailers then
    remove(trailers, names)
  end
end

-- A service sends the headers of a success as trailers, in one write with the message: had it sent them first, a
-- replica that dies between the two would have answered, and nothing would retry the call. `x-http-code` is the status.
local function take_headers_of_success(handle)
  local trailers, headers = handle:trailers(), handle:headers()
  if not trailers then
    return
  end
  local code = trailers:get("x-http-code")
  if code and headers:get(":status") == "200" and code:match("^2%d%d$") then
    headers:replace(":status", code)
  end
  for _, name in ipairs(SUCCESS_HEADERS) do
    local value = trailers:get(name)
    if value and not headers:get(name) then
      headers:replace(name, value)
    end
  end
  remove(trailers, SUCCESS_HEADERS)
  remove(trailers, INTERNAL_RESPONSE_HEADERS)
end

local function kept(request)
  return (request.fields or "") ~= "" and mask(request.fields, request.output)
end

local function finish_success(handle, status, request)
  if status == 200 and request.verb == "GET" then
    tag(handle, request.if_none_match or "")
  end
  local body, tree = handle:body(true), kept(request)
  if tree and body:length() > 0 then
    body:setBytes(pick(body:getBytes(0, body:length()), tree))
  end
end

local function finish_json(handle, status, request, instead)
  if status < 400 and not request.verb then
    -- Not a call of the contract: a document of the pages, which may exceed a connection's buffer limit.
    return
  end
  if status >= 400 then
    finish_error(handle, request, instead)
  else
    finish_success(handle, status, request)
    take_headers_of_success(handle)
  end
  remove_trailers(handle, GRPC_RESPONSE_HEADERS)
end

-- The fields by which a browser's EventSource distinguishes events and resumes.
local function as_event(json, tree)
  local kind = json:match('^{"(%a+)":')
  local version = kind == "order" and json:match('"version":"(%d+)"')
  local id = version and "id: " .. version .. "\n" or ""
  return id .. "event: " .. kind .. "\ndata: " .. (tree and pick(json, tree) or json) .. "\n\n"
end

local function finish_events(handle, request)
  local rest, tree = "", kept(request)
  for chunk in handle:bodyChunks() do
    local text = rest .. chunk:getBytes(0, chunk:length())
    local after = text:match("^.*\n\n()") or 1
    rest = text:sub(after)
    chunk:setBytes((text:sub(1, after - 1):gsub("data: ({[^\n]*})\n\n", function(json)
      return as_event(json, tree)
    end)))
  end
  remove_trailers(handle, GRPC_RESPONSE_HEADERS)
end

-- gRPC: a status in the headers without details comes from the mesh.
local function finish_grpc(handle, headers, instead)
  remove(headers, INTERNAL_RESPONSE_HEADERS)
  if instead then
    headers:replace("grpc-status", instead.grpc)
  end
  local failure = FAILURES[tonumber(headers:get("grpc-status") or "0")]
  local keys = lacks_keys(headers:get("grpc-message") or "")
  if keys then
    headers:remove("www-authenticate")
    headers:replace("grpc-status", keys.grpc)
    headers:replace("grpc-message", keys.message)
    headers:replace("grpc-status-details-bin", keys.details)
  elseif failure and not headers:get("grpc-status-details-bin") then
    headers:replace("grpc-message", failure.message)
    headers:replace("grpc-status-details-bin", failure.details)
  end
  remove_trailers(handle, INTERNAL_RESPONSE_HEADERS)
end

-- Errors, and responses without caching headers of their own (pages and resources with an etag have them), must not be
-- cached.
local function keep_from_caches(headers)
  if tonumber(headers:get(":status")) >= 400 or not headers:get("cache-control") then
    headers:replace("cache-control", "no-store")
  end
end

-- Replaces the text of an error that has neither the API's form nor that of a page: it comes from the mesh, or from a
-- server's framework.
local function replace_plain(handle, headers, request)
  local kind, error = headers:get("content-type") or "text/plain", ERRORS[headers:get(":status")]
  if error and kind:sub(1, 10) == "text/plain" and not request.bare then
    handle:body(true):setBytes(error)
    handle:headers():replace("content-type", "application/json")
  end
end

local function finish_rest(handle, headers, request, instead)
  if instead then
    headers:replace(":status", instead.status)
  end
  keep_from_caches(headers)
  remove(headers, INTERNAL_RESPONSE_HEADERS)
  remove(headers, GRPC_RESPONSE_HEADERS)
  -- Always, because a response without CORS headers must not be reused for another origin either.
  headers:add("vary", "Origin")
  local kind = headers:get("content-type")
  if kind == "application/json" then
    finish_json(handle, tonumber(headers:get(":status")), request, instead)
  elseif kind == "text/event-stream" then
    headers:replace("cache-control", "no-store")
    finish_events(handle, request)
  else
    replace_plain(handle, headers, request)
  end
end

-- HEAD gets the headers only. Otherwise the length would be that of the empty body, and compressing it would produce a
-- body.
local function take_body(handle)
  handle:body(true):setBytes("")
  local headers = handle:headers()
  headers:remove("content-length")
  headers:replace("cache-control", headers:get("cache-control") .. ", no-transform")
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local request = noted(handle)
  local instead = meant(headers, request)
  remove_where(headers, is_envoys)
  headers:replace("x-content-type-options", "nosniff")
  if request.traceparent then
    headers:replace("traceparent", request.traceparent)
  end
  if is_grpc(headers) then
    return finish_grpc(handle, headers, instead)
  end
  finish_rest(handle, headers, request, instead)
  if request.head then
    take_body(handle)
  end
end
