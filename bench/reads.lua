-- wrk's script: reads, each path with its token, in turn.
--
--   wrk … -s bench/reads.lua URL -- FILE
--
-- FILE  a path and a token a line, with a space between
--
-- Prints one line of JSON at the end.

local number = 0

function init(arguments)
  requests = {}
  for line in io.lines(arguments[1]) do
    local path, token = string.match(line, "^(%S+) (%S+)$")
    table.insert(requests, wrk.format("GET", path, { ["authorization"] = "Bearer " .. token }))
  end
end

function request()
  number = number + 1
  return requests[number % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"calls":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
