"""
Generates the EnvoyFilter that turns an Istio gateway into the edge of this API.

The descriptors are embedded in Envoy's configuration instead of a file, because that works the same on a laptop and on
a cluster, where it needs no volume, and a new contract reaches a running edge like any other change.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from gateway import failures
from gateway.edge import descriptors, replies, routes
from gateway.edge.contract import Contract

MAX_BODY_BYTES = 1024 * 1024
# The size limit of requests without a body or with a short one; istio/edge-filters.yaml names the routes with a larger
# limit.
SMALL_BODY_BYTES = 16 * 1024
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"
HCM = "envoy.filters.network.http_connection_manager"
# Before authentication, and when the body has arrived; each script uses the definitions of those before it.
AT_FIRST = ("headers", "text", "fields", "conditions", "request", "response")
WITH_TOKEN, WITH_BODY = ("headers", "token"), ("headers", "json", "body")
FAULT, JWT = "envoy.filters.http.fault", "envoy.filters.http.jwt_authn"
# Served to gRPC clients in addition to the contract.
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = tuple(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha"))


def edge_api(contract: Contract, *, namespace: str) -> dict[str, Any]:
    """
    Return the EnvoyFilter with everything at the edge that follows from the contract.

    In the order of a request: CORS, compression, the Lua filter for headers, JWT, a Lua filter for the claims,
    authorization, body buffering and a Lua filter that checks the body, the transcoder, fault injection, the router.
    So a malformed request is rejected by its headers, the caller is authenticated before a body is read, and a call
    uses a service's capacity only once its body is complete. The first Lua filter sees responses as uncompressed JSON,
    and what a VirtualService says of a method's gRPC path applies to both kinds of clients.
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
                _http_filter("INSERT_AFTER", lua_with_token(), beside=JWT),
                _http_filter("INSERT_BEFORE", whole_body(), beside=FAULT),
                _http_filter("INSERT_BEFORE", lua_with_body(contract), beside=FAULT),
                _http_filter("INSERT_BEFORE", transcoder(contract), beside=FAULT),
                _merge_connection_manager({"local_reply_config": replies.local_replies(routed(contract))}),
            ],
        },
    }


def routed(contract: Contract) -> list[str]:
    """
    Return the full names of the services that the edge routes.
    """
    return sorted({*contract.services, *(path.split("/")[1] for path in (HEALTH, *REFLECTION))})


def _match(sub_filter: str | None = None) -> dict[str, Any]:
    network: dict[str, Any] = {"name": HCM}
    if sub_filter:
        network["subFilter"] = {"name": sub_filter}
    return {"context": "GATEWAY", "listener": {"filterChain": {"filter": network}}}


def _http_filter(operation: str, value: dict[str, Any], beside: str | None = None) -> dict[str, Any]:
    return {
        "applyTo": "HTTP_FILTER",
        "match": _match(beside),
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
            # Pages, health checks and preflights have no binding and go on to the routes; the Lua filter rejects
            # everything else.
            "request_validation_options": {
                "reject_unknown_method": False,
                "reject_unknown_query_parameters": True,
                "reject_binding_body_field_collisions": True,
            },
            # A stock of 0 is meaningful, so zero values are printed.
            "print_options": {"always_print_primitive_fields": True, "stream_sse_style_delimited": True},
            "max_request_body_size": MAX_BODY_BYTES,
            "max_response_body_size": MAX_RESPONSE_BYTES,
        },
    )


def whole_body() -> dict[str, Any]:
    """
    Return the filter that buffers a call until its body is complete; routes can set a larger limit.
    """
    return _filter("envoy.filters.http.buffer", "buffer.v3.Buffer", {"max_request_bytes": SMALL_BODY_BYTES})


def lua_with_token() -> dict[str, Any]:
    """
    Return the Lua filter that checks the claims of a valid token.
    """
    return _lua("token", {}, WITH_TOKEN)


def lua_with_body(contract: Contract) -> dict[str, Any]:
    """
    Return the Lua filter that checks the body.
    """
    requests = routes.requests(contract.bindings, contract.pool)
    return _lua("body", {"STREAMS": dict.fromkeys(REFLECTION, True), "REQUESTS": requests}, WITH_BODY)


def lua(contract: Contract) -> dict[str, Any]:
    """
    Return the Lua filter that checks headers and handles responses.
    """
    invalid = failures.BY_HTTP[400].status("%s", "%s")
    invalid["details"][1]["fieldViolations"][0]["description"] = "%s"
    tables = {
        "MAX_BODY_BYTES": MAX_BODY_BYTES,
        "SERVICES": dict.fromkeys(contract.services, True),
        "METHODS": dict.fromkeys([*contract.methods, HEALTH, *REFLECTION], True),
        "PREFIXES": dict.fromkeys({binding.path.split("/")[1] for binding in contract.bindings}, True),
        "MESSAGES": routes.messages(contract.bindings),
        "ROUTES": routes.table(contract.bindings),
        "FAILURES": {code: _lua_failure(failure) for code, failure in failures.BY_CODE.items()},
        "KEYS_UNAVAILABLE": _lua_failure(failures.KEYS_UNAVAILABLE),
        "ERRORS": {str(failure.http): _compact(failure.status()) for failure in failures.FAILURES},
        # Used where a service sends no RetryInfo although a retry helps.
        "RETRY_AFTER": {str(each.http): each.retry_after_s for each in failures.FAILURES if each.retry_after_s},
        # Arguments of string.format: the message, the field and the violation.
        "INVALID_FIELD": _compact(invalid),
    }
    return _lua("edge", tables, AT_FIRST)


def _lua(name: str, tables: dict[str, Any], scripts: Sequence[str]) -> dict[str, Any]:
    """
    Return a Lua filter: the tables that the scripts read, followed by the scripts.
    """
    read = {**tables, "DOMAIN": failures.DOMAIN, "REFUSALS": _refusals()}
    lines = [f"{name} = {routes.to_lua(value)}" for name, value in read.items()]
    folder = resources.files("gateway.edge").joinpath("lua")
    texts = [folder.joinpath(f"{script}.lua").read_text() for script in scripts]
    config = {"default_source_code": {"inline_string": "\n".join([*lines, "", *texts])}}
    return _filter(f"envoy.filters.http.lua.{name}", "lua.v3.Lua", config)


def _refusals() -> dict[str, dict[str, Any]]:
    """
    Return what gRPC clients are told of each HTTP status that a Lua filter rejects with.
    """
    return {
        str(failure.http): {"grpc": failure.code, "reason": failure.reason, "message": failure.message}
        for failure in failures.FAILURES
    }


def _lua_failure(failure: failures.Failure) -> dict[str, Any]:
    return {
        "status": str(failure.http),
        "grpc": str(failure.code),
        "message": failure.message,
        "body": _compact(failure.status()),
        "details": replies.details(failure),
    }


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def compressor() -> dict[str, Any]:
    """
    Return the gzip filter for JSON and the files of the pages; event streams and gRPC are not compressed.
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
