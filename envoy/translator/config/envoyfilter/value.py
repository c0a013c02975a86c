"""
Parses the values of EnvoyFilter patches as Envoy's messages.
"""

import importlib
import pkgutil
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import descriptor_pool
from google.protobuf.json_format import ParseDict, ParseError

from translator.config.protoconv import TYPE_PREFIX, duration
from translator.model.problems import BlockError, join
from translator.model.values import Block

ANY, DURATION, WELL_KNOWN = "google.protobuf.Any", "google.protobuf.Duration", "google.protobuf."
TYPES: dict[str, Any] = {
    "LISTENER": listener_pb2.Listener,
    "FILTER_CHAIN": listener_components_pb2.FilterChain,
    "LISTENER_FILTER": listener_components_pb2.ListenerFilter,
    "NETWORK_FILTER": listener_components_pb2.Filter,
    "HTTP_FILTER": http_connection_manager_pb2.HttpFilter,
    "ROUTE_CONFIGURATION": route_pb2.RouteConfiguration,
    "VIRTUAL_HOST": route_components_pb2.VirtualHost,
    "HTTP_ROUTE": route_components_pb2.Route,
    "CLUSTER": cluster_pb2.Cluster,
}


def parse_value(apply_to: str, value: Block) -> Any:
    """
    Return a patch's value as a message; an unknown field or type is an error with its path.
    """
    if apply_to not in TYPES:
        raise BlockError("applyTo", f"{apply_to} is not supported; supported are {', '.join(TYPES)}")
    _import_types(value, "patch.value")
    try:
        return ParseDict(_as_json(TYPES[apply_to].DESCRIPTOR, value, "patch.value"), TYPES[apply_to]())
    except (ParseError, TypeError, ValueError) as error:
        raise BlockError("patch.value", " ".join(str(error).split())) from None


def _as_json(kind: Any, node: Any, path: str) -> Any:
    """
    Return *node* as JSON of the message *kind*, for the parser.

    Refuses what the parser takes and Istio does not: a list for a message, an Any without its type, a boolean for an
    enumeration. Durations may be written as Go does, and are no longer than Go's.
    """
    if kind.full_name == DURATION:
        return _duration(node, path)
    if isinstance(node, dict) and kind.full_name == ANY:
        if "@type" not in node:
            raise BlockError(path, "must have an @type")
        name = str(node["@type"]).removeprefix(TYPE_PREFIX)
        kind = descriptor_pool.Default().FindMessageTypeByName(name)
    # Numbers that may be absent and the like have JSON of their own.
    if kind.full_name.startswith(WELL_KNOWN):
        return node
    if not isinstance(node, dict):
        raise BlockError(path, "must be a mapping")
    fields = {name: field for field in kind.fields for name in (field.name, field.json_name)}
    return {
        key: item if (field := fields.get(str(key))) is None else _field_as_json(field, item, join(path, str(key)))
        for key, item in node.items()
    }


def _field_as_json(field: Any, item: Any, path: str) -> Any:
    if field.enum_type is not None and isinstance(item, bool):
        raise BlockError(path, "must be a value's name or number")
    if field.message_type is None or item is None:
        return item
    if field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        if not isinstance(item, dict):
            return item
        return {key: _field_as_json(value, one, f"{path}[{key}]") for key, one in item.items()}
    if field.is_repeated and isinstance(item, list):
        # Of a list, Istio reads a null as an empty message.
        filled = [{} if one is None else one for one in item]
        return [_as_json(field.message_type, one, f"{path}[{number}]") for number, one in enumerate(filled)]
    return _as_json(field.message_type, item, path)


def _duration(node: Any, path: str) -> Any:
    if not isinstance(node, str):
        raise BlockError(path, f"{node!r} is no duration; write it like 250ms, 1.5s or 1h30m")
    try:
        return duration(node).ToJsonString()
    except BlockError as error:
        raise BlockError(path, error.message) from None


def _import_types(node: Any, path: str) -> None:
    """
    Import the modules of every type that a value names.
    """
    if isinstance(node, dict):
        if "@type" in node:
            _import_type(str(node["@type"]).removeprefix(TYPE_PREFIX), join(path, "@type"))
        for key, item in node.items():
            _import_types(item, join(path, str(key)))
    elif isinstance(node, list):
        for number, item in enumerate(node):
            _import_types(item, f"{path}[{number}]")


def _import_type(name: str, path: str) -> None:
    package = name.rpartition(".")[0]
    if not name.startswith(("envoy.", "google.protobuf.", "google.rpc.", "udpa.", "xds.")):
        raise BlockError(path, f"{name!r} is not a type of Envoy")
    try:
        module = importlib.import_module(package)
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if found.name.endswith("_pb2"):
                importlib.import_module(f"{package}.{found.name}")
        descriptor_pool.Default().FindMessageTypeByName(name)
    except (ImportError, KeyError, ValueError):
        raise BlockError(path, f"{name!r} is not a type known to this Envoy") from None
