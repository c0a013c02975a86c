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

from translator.config.protoconv import TYPE_PREFIX
from translator.model.problems import BlockError, join
from translator.model.values import Block

ANY, WELL_KNOWN = "google.protobuf.Any", "google.protobuf."
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
    _check_shape(TYPES[apply_to].DESCRIPTOR, value, "patch.value")
    try:
        return ParseDict(dict(value), TYPES[apply_to]())
    except (ParseError, TypeError, ValueError) as error:
        raise BlockError("patch.value", " ".join(str(error).split())) from None


def _check_shape(kind: Any, node: Any, path: str) -> None:
    """
    Refuse what the parser takes although it is not JSON of a message: a list for one, or an Any without its type.
    """
    if isinstance(node, dict) and kind.full_name == ANY:
        if "@type" not in node:
            raise BlockError(path, "must have an @type")
        name = str(node["@type"]).removeprefix(TYPE_PREFIX)
        kind = descriptor_pool.Default().FindMessageTypeByName(name)
    # Durations, numbers that may be absent and the like have JSON of their own.
    if kind.full_name.startswith(WELL_KNOWN):
        return
    if not isinstance(node, dict):
        raise BlockError(path, "must be a mapping")
    fields = {name: field for field in kind.fields for name in (field.name, field.json_name)}
    for key, item in node.items():
        field = fields.get(str(key))
        if field is None or field.message_type is None or item is None or field.message_type.GetOptions().map_entry:
            continue
        here = join(path, str(key))
        if field.is_repeated and isinstance(item, list):
            for number, one in enumerate(item):
                _check_shape(field.message_type, one, f"{here}[{number}]")
        else:
            _check_shape(field.message_type, item, here)


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
