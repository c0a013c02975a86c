"""
The values of EnvoyFilter patches: read as Envoy's messages, and merged into others.
"""

import importlib
import pkgutil
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from translator.problems import BlockError, join
from translator.values import Block, packed

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
TYPE_PREFIX = "type.googleapis.com/"
ANY, WHOLE = "google.protobuf.Any", frozenset({"google.protobuf.Duration", "google.protobuf.Struct"})


def parse_value(apply_to: str, value: Block) -> Any:
    """
    A patch's value as the message it stands for; an unknown field or type is an error with its path.
    """
    if apply_to not in TYPES:
        raise BlockError("applyTo", f"{apply_to} is not supported; supported are {', '.join(TYPES)}")
    _import_types(value, "patch.value")
    try:
        return ParseDict(dict(value), TYPES[apply_to]())
    except (ParseError, TypeError, ValueError) as error:
        raise BlockError("patch.value", " ".join(str(error).split())) from None


def _import_types(node: Any, path: str) -> None:
    """
    Load the modules of every type that is named in a value.
    """
    if isinstance(node, dict):
        name = node.get("@type")
        if isinstance(name, str):
            _import_type(name.removeprefix(TYPE_PREFIX), join(path, "@type"))
        for key, item in node.items():
            _import_types(item, join(path, str(key)))
    elif isinstance(node, list):
        for number, item in enumerate(node):
            _import_types(item, f"{path}[{number}]")


def _import_type(name: str, path: str) -> None:
    package = name.rpartition(".")[0]
    if not name.startswith(("envoy.", "google.protobuf.", "google.rpc.", "udpa.", "xds.")):
        raise BlockError(path, f"{name!r} is no type of Envoy")
    try:
        module = importlib.import_module(package)
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if found.name.endswith("_pb2"):
                importlib.import_module(f"{package}.{found.name}")
        descriptor_pool.Default().FindMessageTypeByName(name)
    except (ImportError, KeyError, ValueError):
        raise BlockError(path, f"{name!r} is no type that this Envoy knows") from None


def unpacked(content: Any) -> Message:
    """
    The message in an `Any`.
    """
    descriptor = descriptor_pool.Default().FindMessageTypeByName(content.type_url.removeprefix(TYPE_PREFIX))
    result: Message = message_factory.GetMessageClass(descriptor)()
    result.ParseFromString(content.value)
    return result


def merge(target: Any, source: Any) -> None:
    """
    Merge *source* into *target* as Istio does.

    Lists grow, durations and map entries are replaced, packed messages merge.
    """
    for descriptor, value in source.ListFields():
        mine = getattr(target, descriptor.name)
        if descriptor.is_repeated and _is_map(descriptor):
            _merge_map(mine, value)
        elif descriptor.is_repeated:
            mine.extend(value)
        elif descriptor.message_type is None:
            setattr(target, descriptor.name, value)
        elif descriptor.message_type.full_name == ANY:
            _merge_any(mine, value)
        elif descriptor.message_type.full_name in WHOLE:
            mine.CopyFrom(value)
        else:
            mine.SetInParent()
            merge(mine, value)


def _is_map(descriptor: Any) -> bool:
    return descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry


def _merge_map(target: Any, source: Any) -> None:
    for key, value in source.items():
        if isinstance(value, Message):
            target[key].CopyFrom(value)
        else:
            target[key] = value


def _merge_any(target: Any, source: Any) -> None:
    if target.type_url != source.type_url:
        target.CopyFrom(source)
        return
    merged = unpacked(target)
    merge(merged, unpacked(source))
    target.CopyFrom(packed(merged))
