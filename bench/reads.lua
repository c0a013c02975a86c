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

-- The end of a run is summed up by summary.lua, which is beside this file.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "summary.lua")
