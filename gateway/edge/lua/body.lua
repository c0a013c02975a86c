-- What the edge looks at when a request's body is there, before the call takes a place at a service.

-- A gRPC request is one message: whether it is compressed, its length in four bytes, and as many bytes.
local function is_one_message(body)
  local length = body:length()
  if length < 5 then
    return false
  end
  local flag, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  return flag == 0 and ((a * 256 + b) * 256 + c) * 256 + d == length - 5
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if is_grpc(headers) then
    if not STREAMS[headers:get(":path")] and not is_one_message(handle:body(true)) then
      handle:respond({ [":status"] = "400" }, "the request must be one whole message that is not compressed")
    end
  elseif noted(handle).verb and handle:body(true):length() > 0 and not is_json(headers) then
    note(handle, "field", "Content-Type")
    handle:respond({ [":status"] = "415" }, "the body must be application/json")
  end
end
