"""
The development OIDC issuer: serves the public key of the tokens that `python -m gateway.token` signs.

    python -m gateway.issuer
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.issuer_settings import load
from gateway.signing import ALGORITHM, Signer, UnusableKey, key_in

MAX_REQUESTS = 32


def application(signer: Signer) -> Starlette:
    """
    Return what serves the issuer's metadata (OpenID Connect Discovery 1.0) and its keys.
    """
    metadata = {
        "issuer": signer.issuer,
        "jwks_uri": f"{signer.issuer}/jwks.json",
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": ["iss", "aud", "sub", "iat", "exp", "operator"],
    }
    answers = {"/.well-known/openid-configuration": metadata, "/jwks.json": {"keys": [signer.public]}, "/healthz": {}}
    return Starlette(routes=[_route(path, answer) for path, answer in answers.items()])


def _route(path: str, answer: object) -> Route:
    async def serve(_: Request) -> JSONResponse:
        return JSONResponse(answer)

    return Route(path, serve)


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
        application(signer),
        host=host,
        port=int(port),
        limit_concurrency=MAX_REQUESTS,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
