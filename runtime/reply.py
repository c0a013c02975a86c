"""What a success sends to the REST edge beside its body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

HTTP_CODE = "x-http-code"


async def send_http_code(
    context: grpc.aio.ServicerContext[Any, Any], code: int, headers: Sequence[tuple[str, str]] = ()
) -> None:
    """
    Send *code* and *headers* for JSON clients; call it just before returning a success.

    A status that follows initial metadata travels in trailers, where neither
    retries nor breakers see it, so nothing may fail after this.
    """
    await context.send_initial_metadata(((HTTP_CODE, str(code)), *headers))
