"""
The errors that the edge returns for itself or the mesh, rather than a service.

They have the same form as a service's errors: a `google.rpc.Status` with one ErrorInfo, and a RetryInfo if a retry
helps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.rpc import code_pb2

DOMAIN = "edge.shop.example.com"
# Replaced by the text of Envoy's local reply.
ITS_TEXT = "%LOCAL_REPLY_BODY%"
TYPE = "type.googleapis.com/google.rpc"


@dataclass(frozen=True)
class Failure:
    """
    An HTTP status with its gRPC code, reason and message.

    *explained* says that behind the edge's filters Envoy's own text is written for clients.
    """

    http: int
    code: int
    reason: str
    message: str
    retry_after_s: int | None = None
    explained: bool = False

    def status(self, message: str | None = None, field: str | None = None) -> dict[str, Any]:
        """
        Return the JSON form of the status, with *message* instead of the default one, about *field*.
        """
        text = message or self.message
        details: list[Mapping[str, Any]] = [{"@type": f"{TYPE}.ErrorInfo", "reason": self.reason, "domain": DOMAIN}]
        if field is not None:
            violation = {"field": field, "description": text}
            details.append({"@type": f"{TYPE}.BadRequest", "fieldViolations": [violation]})
        if self.retry_after_s is not None:
            details.append({"@type": f"{TYPE}.RetryInfo", "retryDelay": f"{self.retry_after_s}s"})
        return {"code": self.code, "message": text, "details": details}


FAILURES = (
    Failure(400, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "the request is malformed", explained=True),
    Failure(401, code_pb2.UNAUTHENTICATED, "INVALID_TOKEN", "the token is missing or not valid", explained=True),
    Failure(403, code_pb2.PERMISSION_DENIED, "FORBIDDEN", "this caller may not do this"),
    Failure(404, code_pb2.NOT_FOUND, "UNKNOWN_PATH", "nothing is served at this path"),
    Failure(405, code_pb2.UNIMPLEMENTED, "UNSUPPORTED_METHOD", "this method is not supported here", explained=True),
    Failure(408, code_pb2.DEADLINE_EXCEEDED, "REQUEST_TOO_SLOW", "the request did not arrive in time"),
    Failure(413, code_pb2.INVALID_ARGUMENT, "BODY_TOO_LARGE", "the body may have 1 MiB at most"),
    Failure(414, code_pb2.INVALID_ARGUMENT, "URI_TOO_LONG", "the path or the query is too long"),
    Failure(
        415, code_pb2.INVALID_ARGUMENT, "UNSUPPORTED_MEDIA_TYPE", "the body must be application/json", explained=True
    ),
    Failure(426, code_pb2.INVALID_ARGUMENT, "UNSUPPORTED_PROTOCOL", "HTTP/1.1 or HTTP/2 is needed"),
    Failure(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED", "too many requests at a time", 1),
    Failure(431, code_pb2.INVALID_ARGUMENT, "HEADERS_TOO_LARGE", "the headers are too many or too large"),
    Failure(499, code_pb2.CANCELLED, "CANCELLED", "the call was cancelled"),
    Failure(500, code_pb2.INTERNAL, "INTERNAL", "internal error"),
    Failure(501, code_pb2.UNIMPLEMENTED, "UNIMPLEMENTED", "this is not implemented", explained=True),
    Failure(502, code_pb2.UNAVAILABLE, "UNAVAILABLE", "the service does not answer right now", 1),
    Failure(503, code_pb2.UNAVAILABLE, "UNAVAILABLE", "the service does not answer right now", 1),
    Failure(504, code_pb2.DEADLINE_EXCEEDED, "SERVICE_TIMEOUT", "the service did not answer in time", 1),
)
# The mesh rejects a missing token and a missing operator's role in the same way.
UNKNOWN_CALLER = Failure(
    401, code_pb2.UNAUTHENTICATED, "MISSING_TOKEN", "sign in first: send a token as Authorization: Bearer"
)
# A token that cannot be verified is not an invalid one: once the keys are available, the same call succeeds.
KEYS_UNAVAILABLE = Failure(
    503, code_pb2.UNAVAILABLE, "TOKEN_KEYS_UNAVAILABLE", "the issuer's keys for verifying tokens are unavailable", 5
)
BY_HTTP = {failure.http: failure for failure in FAILURES}
# The error for a gRPC status without details: services always send details, so it comes from the mesh.
BY_CODE = {
    code_pb2.CANCELLED: BY_HTTP[499],
    code_pb2.UNKNOWN: BY_HTTP[500],
    code_pb2.DEADLINE_EXCEEDED: BY_HTTP[504],
    code_pb2.PERMISSION_DENIED: BY_HTTP[403],
    code_pb2.RESOURCE_EXHAUSTED: BY_HTTP[429],
    code_pb2.UNIMPLEMENTED: BY_HTTP[501],
    code_pb2.INTERNAL: BY_HTTP[500],
    code_pb2.UNAVAILABLE: BY_HTTP[503],
    code_pb2.UNAUTHENTICATED: BY_HTTP[401],
}
