"""
The EnvoyFilter that makes an Istio gateway this API's edge.

Envoy takes the descriptors inside the configuration, not from a file: that is
the one way that is the same on a laptop and on a cluster, where it needs no
volume, and a new contract reaches a running edge like any other change.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from typing import Any

from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2 as _  # noqa: F401 -- makes the details' types known to ParseDict
from google.rpc.status_pb2 import Status

from gateway import descriptors, failures, routes
from gateway.contract import Contract

MAX_BODY_BYTES = 1024 * 1024
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"
HCM = "envoy.filters.network.http_connection_manager"
# Each uses what those before it define.
SCRIPTS = ("headers", "fields", "request", "response")
FAULT = "envoy.filters.http.fault"


def edge_api(contract: Contract, *, namespace: str) -> dict[str, Any]:
    """
    Return the EnvoyFilter with everything at the edge that follows from the contract.

    In the order of a request: compression, the Lua filter, JWT and authorization, the
    transcoder, faults and CORS, the router. So the Lua filter reads responses as JSON
    and not yet compressed, and everything that a VirtualService says of a method
    holds for both kinds of clients, under the method's gRPC path.
    """
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "edge-api", "namespace": namespace},
        "spec": {
            "workloadSelector": {"labels": {"istio": "edge"}},
            "configPatches": [
                _http_filter("INSERT_FIRST", lua(contract)),
                _http_filter("INSERT_FIRST", compressor()),
                _http_filter("INSERT_BEFORE", transcoder(contract), before=FAULT),
                _merge_connection_manager({"local_reply_config": local_replies()}),
            ],
        },
    }


def _match(sub_filter: str | None = None) -> dict[str, Any]:
    network: dict[str, Any] = {"name": HCM}
    if sub_filter:
        network["subFilter"] = {"name": sub_filter}
    return {"context": "GATEWAY", "listener": {"filterChain": {"filter": network}}}


def _http_filter(operation: str, value: dict[str, Any], before: str | None = None) -> dict[str, Any]:
    return {
        "applyTo": "HTTP_FILTER",
        "match": _match(before),
        "patch": {"operation": operation, "value": value},
    }


def _merge_connection_manager(part: dict[str, Any]) -> dict[str, Any]:
    kind = f"{EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "applyTo": "NETWORK_FILTER",
        "match": _match(),
        "patch": {"operation": "MERGE", "value": {"name": HCM, "typed_config": {"@type": kind, **part}}},
    }


def _filter(name: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{EXTENSIONS}.http.{kind}", **config}}


def transcoder(contract: Contract) -> dict[str, Any]:
    """
    Return Envoy's gRPC-JSON transcoder for the contract's REST bindings.
    """
    files = descriptors.for_transcoder(contract.files, contract.services)
    return _filter(
        "envoy.filters.http.grpc_json_transcoder",
        "grpc_json_transcoder.v3.GrpcJsonTranscoder",
        {
            "proto_descriptor_bin": base64.b64encode(files.SerializeToString(deterministic=True)).decode(),
            "services": contract.services,
            "convert_grpc_status": True,
            "query_param_unescape_plus": True,
            "ignored_query_parameters": list(routes.EDGE_PARAMETERS),
            # Pages, health and preflights have no binding and go on to the routes; the Lua filter refuses the rest.
            "request_validation_options": {
                "reject_unknown_method": False,
                "reject_unknown_query_parameters": True,
                "reject_binding_body_field_collisions": True,
            },
            # A stock of 0 is an answer, so zeros are printed.
            "print_options": {"always_print_primitive_fields": True, "stream_sse_style_delimited": True},
            "max_request_body_size": MAX_BODY_BYTES,
            "max_response_body_size": MAX_RESPONSE_BYTES,
        },
    )


def lua(contract: Contract) -> dict[str, Any]:
    """
    Return the Lua filter: the scripts after the tables that they read.
    """
    invalid = failures.BY_HTTP[400].status("%s", "%s")
    invalid["details"][1]["fieldViolations"][0]["description"] = "%s"
    tables = {
        "MAX_BODY_BYTES": MAX_BODY_BYTES,
        "SERVICES": dict.fromkeys(contract.services, True),
        "PREFIXES": dict.fromkeys({binding.path.split("/")[1] for binding in contract.bindings}, True),
        "MESSAGES": routes.messages(contract.bindings),
        "ROUTES": routes.table(contract.bindings),
        "FAILURES": {code: _lua_failure(failure) for code, failure in failures.BY_CODE.items()},
        # Where a service suggests no wait although one helps.
        "RETRY_AFTER": {str(each.http): each.retry_after_s for each in failures.FAILURES if each.retry_after_s},
        # string.format with the message, the field and what is wrong with it.
        "INVALID_FIELD": _compact(invalid),
    }
    lines = [f"{name} = {routes.to_lua(value)}" for name, value in tables.items()]
    folder = resources.files("gateway").joinpath("lua")
    texts = [folder.joinpath(f"{name}.lua").read_text() for name in SCRIPTS]
    config = {"default_source_code": {"inline_string": "\n".join([*lines, "", *texts])}}
    return _filter("envoy.filters.http.lua.edge", "lua.v3.Lua", config)


def _lua_failure(failure: failures.Failure) -> dict[str, Any]:
    status = failure.status()
    details = ParseDict(status, Status()).SerializeToString(deterministic=True)
    return {
        "status": str(failure.http),
        "message": failure.message,
        "body": _compact(status),
        "details": base64.b64encode(details).decode().rstrip("="),
    }


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def compressor() -> dict[str, Any]:
    """
    Return the gzip filter for JSON and what pages are made of; event streams and gRPC stay as they are.
    """
    kinds = ["application/json", "text/html", "text/css", "text/javascript", "image/svg+xml"]
    library = {
        "name": "gzip",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip",
            "memory_level": 5,
            "window_bits": 12,
            "compression_level": "COMPRESSION_LEVEL_4",
        },
    }
    direction = {"common_config": {"min_content_length": 512, "content_type": kinds}}
    return _filter(
        "envoy.filters.http.compressor",
        "compressor.v3.Compressor",
        {"response_direction_config": direction, "compressor_library": library},
    )


def local_replies() -> dict[str, Any]:
    """
    Return the JSON bodies of Envoy's own answers to JSON clients.

    To gRPC clients Envoy answers with a gRPC status, and the Lua filter sees to its text.
    """
    mappers = [mapper for failure in failures.FAILURES for mapper in _mappers(failure)]
    return {"mappers": [*_unknown_caller(), *mappers, _aborted_with_success()]}


def _unknown_caller() -> list[dict[str, Any]]:
    """
    Forbidden without a token is 401, which tells clients to sign in; 403 would tell them not to try.
    """
    meant = failures.UNKNOWN_CALLER
    challenge = {"key": "www-authenticate", "value": "Bearer"}
    added = [{"header": challenge, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    forbidden = [_status_is(403), _NO_TOKEN]
    json = _mapper(meant, [*forbidden, _IS_JSON], meant.status())
    others = {"filter": {"and_filter": {"filters": forbidden}}, "body": {"inline_string": meant.message}}
    return [each | {"status_code": meant.http, "headers_to_add": added} for each in (json, others)]


def _mappers(failure: failures.Failure) -> list[dict[str, Any]]:
    conditions = [_status_is(failure.http), _IS_JSON]
    usual = _mapper(failure, conditions, failure.status())
    if not failure.explained:
        return [usual]
    field = _mapper(failure, [*conditions, _noted("field")], failure.status(failures.ITS_TEXT, _FIELD))
    text = _mapper(failure, [*conditions, _noted("seen")], failure.status(failures.ITS_TEXT))
    return [field, text, usual]


def _mapper(failure: failures.Failure, conditions: list[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    mapper: dict[str, Any] = {
        "filter": {"and_filter": {"filters": conditions}},
        "body_format_override": {"json_format": body, "content_type": "application/json"},
    }
    if failure.retry_after_s is not None:
        value = {"key": "retry-after", "value": str(failure.retry_after_s)}
        mapper["headers_to_add"] = [{"header": value, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    return mapper


def _aborted_with_success() -> dict[str, Any]:
    """
    A fault with a gRPC status ends a JSON request with 200 and a text: make it the failure that was meant.
    """
    meant = failures.BY_HTTP[503]
    injected = {"response_flag_filter": {"flags": ["FI"]}}
    return _mapper(meant, [injected, _status_is(200), _IS_JSON], meant.status()) | {"status_code": meant.http}


def _status_is(status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": f"edge.local_reply.{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


# What the transcoder made gRPC is still answered as the JSON request that it was.
_IS_JSON = {
    "or_filter": {
        "filters": [
            {
                "header_filter": {
                    "header": {
                        "name": "content-type",
                        "string_match": {"prefix": "application/grpc"},
                        "invert_match": True,
                        "treat_missing_header_as_empty": True,
                    }
                }
            },
            {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}},
        ]
    }
}
# A good token leaves its claims, which are never null; one that is not good was refused before.
_NO_TOKEN = {
    "metadata_filter": {
        "matcher": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": "payload"}],
            "value": {"null_match": {}},
        },
        "match_if_key_not_found": True,
    }
}
# the Lua filter notes what it refused, so that the answer can name it.
_FIELD = "%DYNAMIC_METADATA(shop.edge:field)%"


def _noted(key: str) -> dict[str, Any]:
    """
    Whether the Lua filter noted *key*; it has not seen what Envoy refused while reading.
    """
    matcher = {"filter": "shop.edge", "path": [{"key": key}], "value": {"present_match": True}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}
