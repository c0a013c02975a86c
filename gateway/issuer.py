"""
The development OIDC issuer: a sign-in page for browsers, and the key of the tokens that it and `gateway.token` sign.

    python -m gateway.issuer
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.issuer_flow import PREFIX, Flow
from gateway.issuer_settings import load
from gateway.signing import ALGORITHM, Signer, UnusableKey, key_in

MAX_REQUESTS = 32
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/jwks.json"


def application(signer: Signer, flow: Flow | None = None) -> Starlette:
    """
    Return what serves the metadata (OpenID Connect Discovery 1.0), the keys and, with *flow*, the sign-in page.
    """

    async def metadata(request: Request) -> JSONResponse:
        told = {
            "issuer": signer.issuer,
            "jwks_uri": f"{signer.issuer}/jwks.json",
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "claims_supported": ["iss", "aud", "sub", "iat", "exp", "operator"],
        }
        return JSONResponse(told | (flow.metadata(request.headers) if flow else {}))

    async def keys(_: Request) -> JSONResponse:
        return JSONResponse({"keys": [signer.public]})

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({})

    both = [(f"{at}{path}", serve) for at in ("", PREFIX) for path, serve in ((DISCOVERY, metadata), (KEYS, keys))]
    routes = [Route("/healthz", health), *(Route(path, serve) for path, serve in both)]
    return Starlette(routes=[*routes, *(flow.routes() if flow else ())])


def main() -> None:
    """
    Serve until SIGTERM; end with a message if the key is unusable.
    """
    settings = load()
    try:
        signer = Signer(key_in(settings.state), settings.url)
    except UnusableKey as error:
        sys.exit(f"issuer: {error}")
    host, _, port = settings.listen.rpartition(":")
    uvicorn.run(
        application(signer, Flow.build(signer, settings.origins, timedelta(seconds=settings.token_s), time.monotonic)),
        host=host,
        port=int(port),
        limit_concurrency=MAX_REQUESTS,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
