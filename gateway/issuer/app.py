"""
The HTTP application of the development issuer: its metadata, its keys and, for browsers, the sign-in page.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.issuer.flow import PREFIX, Flow
from gateway.issuer.signing import ALGORITHM, Signer

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/jwks.json"


def application(signer: Signer, flow: Flow | None = None) -> Starlette:
    """
    Return the application that serves the metadata (OpenID Connect Discovery 1.0), the keys and, with *flow*, the
    sign-in page.
    """

    async def metadata(request: Request) -> JSONResponse:
        document = {
            "issuer": signer.issuer,
            "jwks_uri": f"{signer.issuer}/jwks.json",
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "claims_supported": ["iss", "aud", "sub", "iat", "exp", "operator"],
        }
        return JSONResponse(document | (flow.metadata(request.headers) if flow else {}))

    async def keys(_: Request) -> JSONResponse:
        return JSONResponse({"keys": signer.published()})

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({})

    both = [(f"{at}{path}", serve) for at in ("", PREFIX) for path, serve in ((DISCOVERY, metadata), (KEYS, keys))]
    routes = [Route("/healthz", health), *(Route(path, serve) for path, serve in both)]
    return Starlette(routes=[*routes, *(flow.routes() if flow else ())])
