-- Validates the claims of a valid token: the expiry, and a subject that fits into a header.

local MAX_SUBJECT = 255
-- Tokens cannot be revoked, so they must expire. A day more than the development issuer grants, for clock skew.
local MAX_LIFETIME_S = 31 * 24 * 60 * 60

-- 255 ASCII characters (OpenID Connect Core, section 2), without spaces at the ends, which headers would lose.
local function is_subject(subject)
  return type(subject) == "string" and #subject <= MAX_SUBJECT
    and subject:find("^[\33-\126][\32-\126]*$") ~= nil and subject:sub(-1) ~= " "
end

local function wrong_claims(claims)
  if type(claims.exp) ~= "number" or claims.exp <= 0 then
    return "the token does not say when it ends (exp)"
  elseif claims.exp > os.time() + MAX_LIFETIME_S then
    return "the token is good for longer than 31 days (exp)"
  elseif not is_subject(claims.sub) then
    return "the token's subject (sub) cannot be used: it must be 1 to 255 visible ASCII characters"
  end
end

function envoy_on_request(handle)
  local found = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
  local wrong = found and found.payload and wrong_claims(found.payload)
  if wrong then
    refuse(handle, "401", wrong, nil, { ["www-authenticate"] = INVALID_TOKEN })
  end
end
