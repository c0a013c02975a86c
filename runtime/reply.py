"""Headers of a success for the REST edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

HTTP_CODE = "x-http-code"


def set_http_code(
    context: grpc.aio.ServicerContext[Any, Any], code: int, headers: Sequence[tuple[str, str]] = ()
) -> None:
    """
    Set *code* and *headers* of a success for JSON clients.

    They are sent as trailers, from which the edge makes response headers. gRPC writes initial metadata, message and
    trailers together, unless a service sends initial metadata itself: then the caller's proxy has a response, which it
    does not retry, before there is one. A replica that dies in between would fail the call.
    """
    context.set_trailing_metadata(((HTTP_CODE, str(code)), *headers))
