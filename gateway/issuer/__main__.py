"""
Serves the development OIDC issuer until SIGTERM.

    python -m gateway.issuer
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta

import uvicorn

from gateway.issuer.app import application
from gateway.issuer.flow import Flow
from gateway.issuer.settings import load
from gateway.issuer.signing import UnusableKey, signer_in

MAX_REQUESTS = 32


def main() -> None:
    """
    Serve until SIGTERM; exit with a message if the key is unusable.
    """
    settings = load()
    try:
        signer = signer_in(settings.state, settings.url)
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
