"""
The edge's own responses: JSON clients get the API's error format, gRPC clients the matching status.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2 as _  # noqa: F401 -- makes the details' types known to ParseDict
from google.rpc.status_pb2 import Status

from gateway import failures

# An error concerns one call of one caller, and must never be interpreted as another content type.
PLAIN = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
DETAILS = "grpc-status-details-bin"
# Errors that Envoy would report to gRPC clients as UNKNOWN or INTERNAL although the client caused them.
CALLERS_FAULT = (400, 405, 408, 413, 414, 415, 431, 501)


def local_replies(services: Iterable[str]) -> dict[str, Any]:
    """
    Return how Envoy's local replies are formatted for both kinds of clients; *services* are those that it
    routes.

    Envoy answers gRPC clients with a gRPC status; the Lua filter replaces the text of the mesh.
    """
    mappers = [mapper for failure in failures.FAILURES for mapper in _mappers(failure)]
    grpc = [mapper for http in CALLERS_FAULT for mapper in _grpc(failures.BY_HTTP[http])]
    return {"mappers": [*_without_route(services), *_unknown_caller(), *mappers, *grpc, _aborted_with_success()]}


def details(failure: failures.Failure) -> str:
    """
    Return the failure's status as the `grpc-status-details-bin` of gRPC clients.
    """
    message = ParseDict(failure.status(), Status()).SerializeToString(deterministic=True)
    return base64.b64encode(message).decode().rstrip("=")


def _grpc(failure: failures.Failure) -> list[dict[str, Any]]:
    """
    Return how a gRPC client is told *failure*: in the Lua filter's words, which have their details, or in ours.
    """
    code = {"grpc-status": str(failure.code)}
    conditions = [_status_is(failure.http), _IS_GRPC]
    with_details = {"filter": _all([*conditions, _noted("details")]), "headers_to_add": _headers(code)}
    usual = {
        "filter": _all(conditions),
        "headers_to_add": _headers(code | {DETAILS: details(failure)}),
        # gRPC clients require the same message here and in the details.
        "body": {"inline_string": failure.message},
    }
    return [with_details, usual]


def _all(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"and_filter": {"filters": conditions}}


def _headers(added: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in added.items()
    ]


def _unknown_caller() -> list[dict[str, Any]]:
    """
    Return the reply that turns 403 without a valid token into 401, which tells clients to sign in instead of giving
    up.
    """
    bad = failures.BY_HTTP[401]
    # A token without claims was not valid, although Envoy only rejects its audience here.
    given = [_status_is(403), _NO_CLAIMS, _WITH_TOKEN]
    return [
        *_forbidden_to(bad, given, bad.status(failures.ITS_TEXT), 'Bearer error="invalid_token"'),
        *_forbidden_to(
            failures.UNKNOWN_CALLER, [_status_is(403), _NO_CLAIMS], failures.UNKNOWN_CALLER.status(), "Bearer"
        ),
    ]


def _without_route(services: Iterable[str]) -> list[dict[str, Any]]:
    """
    Return the replies to a call of the contract that has no route, say because a VirtualService was deleted: Envoy's
    404 would be final, and the mistake is the mesh's.

    A probe of the edge's health and a browser's preflight are such calls, too. The Lua filter has answered unknown
    paths and methods before.
    """
    meant = failures.BY_HTTP[503]
    prefixes = ["/healthz", "/v1/", *(f"/{service}/" for service in services)]
    path = {"or_filter": {"filters": [_path_begins(prefix) for prefix in prefixes]}}
    conditions = [_status_is(404), {"response_flag_filter": {"flags": ["NR"]}}, path]
    json = _mapper(meant, [*conditions, _IS_JSON], meant.status())
    grpc = {
        "filter": _all(conditions),
        "body": {"inline_string": meant.message},
        "headers_to_add": _headers({DETAILS: details(meant)}),
    }
    return [each | {"status_code": meant.http} for each in (json, grpc)]


def _path_begins(prefix: str) -> dict[str, Any]:
    return {"header_filter": {"header": {"name": ":path", "string_match": {"prefix": prefix}}}}


def _forbidden_to(
    meant: failures.Failure, conditions: list[dict[str, Any]], body: dict[str, Any], challenge: str
) -> list[dict[str, Any]]:
    added = {"www-authenticate": challenge, **PLAIN}
    json = _mapper(meant, [*conditions, _IS_JSON], body) | {"headers_to_add": _headers(added)}
    others = {
        "filter": _all(conditions),
        "body": {"inline_string": meant.message},
        "headers_to_add": _headers(added | {DETAILS: details(meant)}),
    }
    return [each | {"status_code": meant.http} for each in (json, others)]


def _mappers(failure: failures.Failure) -> list[dict[str, Any]]:
    conditions = [_status_is(failure.http), _IS_JSON]
    usual = _mapper(failure, conditions, failure.status())
    if not failure.explained:
        return [usual]
    field = _mapper(failure, [*conditions, _noted("field")], failure.status(failures.ITS_TEXT, _FIELD))
    text = _mapper(failure, [*conditions, _noted("seen")], failure.status(failures.ITS_TEXT))
    return [field, text, usual]


def _mapper(failure: failures.Failure, conditions: list[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    wait = {} if failure.retry_after_s is None else {"retry-after": str(failure.retry_after_s)}
    return {
        "filter": _all(conditions),
        "body_format_override": {"json_format": body, "content_type": "application/json"},
        "headers_to_add": _headers(wait | PLAIN),
    }


def _aborted_with_success() -> dict[str, Any]:
    """
    Return the reply to an injected gRPC fault, which would end a JSON request with 200 and a text: the intended error
    instead.
    """
    meant = failures.BY_HTTP[503]
    injected = {"response_flag_filter": {"flags": ["FI"]}}
    return _mapper(meant, [injected, _status_is(200), _IS_JSON], meant.status()) | {"status_code": meant.http}


def _status_is(status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": f"edge.local_reply.{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _is_grpc(*, invert: bool) -> dict[str, Any]:
    """
    Return the matcher of what Envoy treats as gRPC; application/grpc-web, for example, is not.
    """
    header: dict[str, Any] = {
        "name": "content-type",
        "string_match": {"safe_regex": {"regex": r"application/grpc(\+.*)?"}},
        "treat_missing_header_as_empty": True,
    }
    if invert:
        header["invert_match"] = True
    return {"header_filter": {"header": header}}


_IS_GRPC = _is_grpc(invert=False)
_TRANSCODED = {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}}
# A request that the transcoder turned into gRPC still gets a JSON response.
_IS_JSON = {"or_filter": {"filters": [_is_grpc(invert=True), _TRANSCODED]}}
# The Lua filter allows no other scheme than Bearer here, and the JWT filter removes valid tokens.
_WITH_TOKEN = {"header_filter": {"header": {"name": "authorization", "present_match": True}}}
# A valid token leaves its claims, which are never null.
_NO_CLAIMS = {
    "metadata_filter": {
        "matcher": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": "payload"}],
            "value": {"null_match": {}},
        },
        "match_if_key_not_found": True,
    }
}
# The Lua filter records what it rejected, so that the response can name it.
_FIELD = "%DYNAMIC_METADATA(shop.edge:field)%"


def _noted(key: str) -> dict[str, Any]:
    """
    Return the matcher of *key* in the Lua filter's metadata; the filter does not see what Envoy rejects while parsing.
    """
    matcher = {"filter": "shop.edge", "path": [{"key": key}], "value": {"present_match": True}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}
