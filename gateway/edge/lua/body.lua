-- Checks a request's body once it is complete, before the call uses a service's capacity.

-- A gRPC request is one message: a compression flag, its length in four bytes, and its bytes.
local function is_one_message(body)
  local length = body:length()
  if length < 5 then
    return false
  end
  local flag, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  return flag == 0 and ((a * 256 + b) * 256 + c) * 256 + d == length - 5
end

local function check_json(handle, request)
  local body = handle:body(true)
  local length = body:length()
  if length == 0 then
    return
  elseif not is_json(handle:headers()) then
    return refuse(handle, "415", "the body must be application/json", "Content-Type")
  elseif request.input == "" then
    return refuse(handle, "400", "this request takes no body", "body")
  end
  local text = body:getBytes(0, length)
  if is_encoded(text) then
    return refuse(handle, "415", "the body must be JSON in UTF-8, not compressed", "body")
  end
  local field, why = wrong_json(text, request.input, request.prefix)
  if field then
    refuse(handle, "400", field .. ": " .. why, field)
  end
end

function envoy_on_request(handle)
  local headers, request = handle:headers(), noted(handle)
  if is_grpc(headers) then
    if not STREAMS[headers:get(":path")] and not is_one_message(handle:body(true)) then
      refuse(handle, "400", "the request must be one whole message that is not compressed")
    end
  elseif request.verb then
    check_json(handle, request)
  end
end
