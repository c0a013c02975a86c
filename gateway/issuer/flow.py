"""
The development issuer's authorization code flow with PKCE (RFC 6749, RFC 7636, RFC 9207, OpenID Connect Core 1.0).

One public client, the shop's pages; its redirect addresses are registered by the origins in the settings.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.issuer import page
from gateway.issuer.codes import CHALLENGE, Budget, Codes, Grant, TooManyCodes, UnusableCode
from gateway.issuer.signing import ALGORITHM, InvalidCustomer, Signer

CLIENT_ID = "shop-pages"
PREFIX = "/issuer"
"""The path below which the edge serves the issuer on its own origin."""
CALLBACK = "/signed-in"
AUTHORIZE = (
    "client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
    "ui_locales",
)  # fmt: skip
ANSWERED = ("name", "operator")
MAX_BODY_BYTES = 8192
MAX_FIELDS = 20
PER_SECOND = 20.0
BURST = 40
_NOT_KEPT = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Unusable(Exception):
    """The client of a request is not identified well enough to answer with a redirect."""

    def __init__(self, why: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Flow:
    """Signs users in by name, and redirects them to one of *origins*; *clock* counts seconds."""

    signer: Signer
    origins: Sequence[str]
    lifetime: timedelta
    codes: Codes
    budget: Budget

    @classmethod
    def build(cls, signer: Signer, origins: Sequence[str], lifetime: timedelta, clock: Callable[[], float]) -> Flow:
        """Return the flow, with no code issued yet."""
        return cls(signer, origins, lifetime, Codes(clock), Budget(clock, per_second=PER_SECOND, burst=BURST))

    def routes(self) -> list[Route]:
        """Return the routes that the edge forwards browsers to."""
        return [
            Route(f"{PREFIX}/authorize", _guarded(self.ask), methods=["GET"]),
            Route(f"{PREFIX}/authorize", _guarded(self.sign_in), methods=["POST"]),
            Route(f"{PREFIX}/token", self.token, methods=["POST"]),
        ]

    def metadata(self, headers: Headers) -> dict[str, object]:
        """Return the OpenID Connect Discovery 1.0 metadata of the flow, with URLs that the caller can reach."""
        if not self.origins:
            return {}
        base = f"{self._origin(headers) or self.signer.issuer}{PREFIX}"
        return {
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/jwks.json",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "scopes_supported": ["openid"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": True,
            "ui_locales_supported": list(page.WORDS),
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    def _origin(self, headers: Headers) -> str | None:
        """Return the origin of the request, if it is a registered one."""
        origin = f"{headers.get('x-forwarded-proto', 'http')}://{headers.get('host', '')}"
        return origin if origin in self.origins else None

    async def ask(self, request: Request) -> Response:
        """Show the sign-in page."""
        parameters = self._checked(_fields(request.url.query))
        return _error(parameters) or _html(page.form(parameters))

    async def sign_in(self, request: Request) -> Response:
        """Redirect a user who gave a name back, with a code."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise Unusable("sign-in from another site's page is not allowed", HTTPStatus.FORBIDDEN)
        if not self.budget.spend():
            raise Unusable("too many sign-ins at once; try again", HTTPStatus.TOO_MANY_REQUESTS)
        fields = await _body(request)
        parameters = self._checked(fields)
        if (refused := _error(parameters)) is not None:
            return refused
        grant = Grant(
            redirect_uri=parameters["redirect_uri"],
            challenge=parameters["code_challenge"],
            nonce=parameters.get("nonce", ""),
            customer=fields.get("name", "").strip(),
            operator=fields.get("operator") == "true",
        )
        try:
            self._tokens(grant)
            code = self.codes.give(grant)
        except InvalidCustomer:
            return _html(page.form(parameters, wrong_name=grant.customer), HTTPStatus.BAD_REQUEST)
        except TooManyCodes as error:
            raise Unusable(str(error), HTTPStatus.SERVICE_UNAVAILABLE) from error
        return _back(parameters, {"code": code, "iss": self.signer.issuer})

    async def token(self, request: Request) -> Response:
        """Exchange a code for tokens."""
        if not self.budget.spend():
            return _refused("temporarily_unavailable", "too many requests", HTTPStatus.TOO_MANY_REQUESTS)
        try:
            fields = await _body(request)
        except Unusable as error:
            return _refused("invalid_request", str(error), error.status)
        if fields.get("grant_type") == "client_credentials":
            return self._for_program(fields.get("client_id", ""))
        if fields.get("grant_type") != "authorization_code":
            return _refused("unsupported_grant_type", "authorization_code and client_credentials are supported")
        if fields.get("client_id") != CLIENT_ID:
            return _refused("invalid_client", "unknown client", HTTPStatus.UNAUTHORIZED)
        try:
            grant = self.codes.redeem(
                fields.get("code", ""),
                redirect_uri=fields.get("redirect_uri", ""),
                verifier=fields.get("code_verifier", ""),
            )
        except UnusableCode as error:
            return _refused("invalid_grant", str(error))
        return JSONResponse(self._tokens(grant), headers=_NOT_KEPT)

    def _for_program(self, client: str) -> Response:
        """Sign a program in by its name (RFC 6749, section 4.4), without a secret, as people are without a password."""
        try:
            access = self.signer.token(client, now=datetime.now(UTC), lifetime=self.lifetime)
        except InvalidCustomer:
            return _refused("invalid_client", "unknown client", HTTPStatus.UNAUTHORIZED)
        response = {"access_token": access, "token_type": "Bearer", "expires_in": int(self.lifetime.total_seconds())}
        return JSONResponse(response, headers=_NOT_KEPT)

    def _tokens(self, grant: Grant) -> dict[str, object]:
        now = datetime.now(UTC)
        access = self.signer.token(grant.customer, now=now, lifetime=self.lifetime, operator=grant.operator)
        identity = self.signer.identity(
            grant.customer, client=CLIENT_ID, nonce=grant.nonce, now=now, lifetime=self.lifetime
        )
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime.total_seconds()),
            "id_token": identity,
            "scope": "openid",
        }

    def _checked(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return the validated parameters of the flow: a known client and one of its redirect URIs."""
        if fields.get("client_id") != CLIENT_ID:
            raise Unusable("client_id is not a client of this issuer")
        if fields.get("redirect_uri") not in {f"{origin}{CALLBACK}" for origin in self.origins}:
            raise Unusable("redirect_uri is not registered")
        return {name: fields[name] for name in AUTHORIZE if name in fields}


def _guarded(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Unusable as error:
            return _html(page.refusal(str(error)), error.status)

    return answer


def _error(parameters: Mapping[str, str]) -> Response | None:
    """Return the redirect that reports an invalid request to the client; None if it is valid."""
    if parameters.get("response_type") != "code":
        return _back(parameters, {"error": "unsupported_response_type"})
    if "openid" not in parameters.get("scope", "").split():
        return _back(parameters, {"error": "invalid_scope", "error_description": "scope must contain openid"})
    if parameters.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(
        parameters.get("code_challenge", "")
    ):
        return _back(parameters, {"error": "invalid_request", "error_description": "PKCE with S256 is required"})
    return None


def _back(parameters: Mapping[str, str], answer: Mapping[str, str]) -> Response:
    query = {**answer, **({"state": parameters["state"]} if "state" in parameters else {})}
    target = f"{parameters['redirect_uri']}?{urlencode(query)}"
    return RedirectResponse(target, HTTPStatus.SEE_OTHER, headers=page.HEADERS)


def _html(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return HTMLResponse(text, status, headers=page.HEADERS)


def _refused(error: str, description: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status, headers=_NOT_KEPT)


async def _body(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Unusable("the body must be a form", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise Unusable(f"the body is larger than {MAX_BODY_BYTES} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        return _fields(body.decode())
    except UnicodeDecodeError as error:
        raise Unusable("the body is not UTF-8") from error


def _fields(text: str) -> dict[str, str]:
    """Return a form's fields, rejecting duplicates."""
    if len(text) > MAX_BODY_BYTES:
        raise Unusable(f"more than {MAX_BODY_BYTES} characters")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Unusable(f"more than {MAX_FIELDS} parameters") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unusable("duplicate parameter")
    return fields
