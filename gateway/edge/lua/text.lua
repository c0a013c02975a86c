-- Validates path and query: short, and UTF-8 once decoded. Every pattern here scans its text once.

local MAX_PATH, MAX_QUERY, MAX_PARAMETERS = 1024, 4096, 64

-- Well-formed sequences by their first byte (RFC 3629, section 4).
local SEQUENCES = {
  "[\194-\223][\128-\191]",
  "\224[\160-\191][\128-\191]", "[\225-\236\238\239][\128-\191][\128-\191]", "\237[\128-\159][\128-\191]",
  "\240[\144-\191][\128-\191][\128-\191]", "[\241-\243][\128-\191][\128-\191][\128-\191]",
  "\244[\128-\143][\128-\191][\128-\191]",
}

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(code)
    return string.char(tonumber(code, 16))
  end))
end

local function is_text(bytes)
  for _, sequence in ipairs(SEQUENCES) do
    bytes = bytes:gsub(sequence, "?")
  end
  return not bytes:find("[%z\1-\31\127-\255]")
end

-- Returns the status and the error, or nil.
local function wrong_path(path, query)
  if #path > MAX_PATH or #query > MAX_QUERY then
    return "414", ""
  elseif select(2, query:gsub("&", "")) >= MAX_PARAMETERS then
    return "400", "the query may have " .. MAX_PARAMETERS .. " parameters at most", "query"
  elseif path:find("%%2[fF]") or path:find("%%5[cC]") then
    -- Parsers disagree on whether it separates segments.
    return "400", "the path must have no escaped slash", "path"
  elseif not is_text(unescaped(path)) then
    return "400", "the path must be UTF-8 without control characters", "path"
  elseif not is_text(unescaped(query)) then
    return "400", "the query must be UTF-8 without control characters", "query"
  end
end
