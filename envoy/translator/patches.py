"""
EnvoyFilters: changes to what was generated, in Envoy's own words (istio: core/envoyfilter).
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from translator.http import INBOUND, MANAGER, ROUTER
from translator.listening import PlacedListener
from translator.mesh import Proxy
from translator.patch_match import (
    Patch,
    means_chain,
    means_cluster,
    means_host,
    means_listener,
    means_route,
    means_routes,
    named,
)
from translator.patch_values import merge, parse_value
from translator.problems import BlockError, attributed, within
from translator.resources import Resource
from translator.values import packed

REMOVE, MERGE, ADD = "REMOVE", "MERGE", "ADD"
LISTED = frozenset({"ADD", "REMOVE", "MERGE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE"})
OPERATIONS = {
    "LISTENER": frozenset({ADD, REMOVE, MERGE}),
    "FILTER_CHAIN": frozenset({ADD, REMOVE, MERGE}),
    "LISTENER_FILTER": LISTED,
    "NETWORK_FILTER": LISTED,
    "HTTP_FILTER": LISTED,
    "ROUTE_CONFIGURATION": frozenset({MERGE}),
    "VIRTUAL_HOST": frozenset({ADD, REMOVE, MERGE, "REPLACE"}),
    "HTTP_ROUTE": LISTED - {"REPLACE"},
    "CLUSTER": frozenset({ADD, REMOVE, MERGE}),
}


@dataclass(frozen=True)
class Patched:
    """
    The generated configuration that patches apply to; clusters each with their context.
    """

    context: str
    listeners: list[PlacedListener]
    routes: list[Any]
    clusters: list[tuple[str, Any]]


def read_patches(resource: Resource) -> Iterator[Patch]:
    """
    The patches of one EnvoyFilter.
    """
    for number, block in enumerate(resource.spec.get("configPatches", ())):
        with within(f"spec.configPatches[{number}]"):
            yield _read(resource, number, block)


def _read_all(resource: Resource) -> list[Patch]:
    return list(read_patches(resource))


def _read(resource: Resource, number: int, block: dict[str, Any]) -> Patch:
    patch, match = block.get("patch", {}), block.get("match", {})
    apply_to, operation = block.get("applyTo", "INVALID"), patch.get("operation", "INVALID")
    value = parse_value(apply_to, patch.get("value", {}))
    if operation not in OPERATIONS[apply_to]:
        raise BlockError("patch.operation", f"{operation} is not supported for {apply_to}")
    if "proxy" in match:
        raise BlockError("match.proxy", "is not supported: there is one version of the proxy")
    if patch.get("filterClass", "UNSPECIFIED") != "UNSPECIFIED":
        raise BlockError("patch.filterClass", "is not supported; name the filter to insert before or after")
    return Patch(resource, number, apply_to, operation, match, value)


def patches_for(proxy: Proxy) -> list[Patch]:
    """
    The patches for a workload: the root namespace's first, then by priority and age.
    """
    root = proxy.registry.root_namespace
    resources = proxy.mesh.selected("EnvoyFilter", proxy.workload)
    ordered = sorted(resources, key=lambda item: (item.namespace != root, item.spec.get("priority", 0), item.age))
    found = []
    for resource in ordered:
        with attributed(resource):
            found += proxy.mesh.cached(resource, partial(_read_all, resource))
    return found


def apply_patches(proxy: Proxy, generated: Patched) -> Patched:
    """
    The configuration with every patch applied, object by object from the outside in, as Istio does it.
    """
    patches = patches_for(proxy)
    if not patches:
        return generated
    groups = {name: [patch for patch in patches if patch.apply_to == name] for name in OPERATIONS}
    listeners = [_listener(groups, placed) for placed in _listeners(groups["LISTENER"], generated)]
    for configuration in generated.routes:
        _routes(groups, generated.context, configuration)
    clusters = _clusters(groups["CLUSTER"], generated)
    return replace(generated, listeners=listeners, clusters=clusters)


def _listeners(patches: list[Patch], generated: Patched) -> Iterator[PlacedListener]:
    for placed in generated.listeners:
        meant = [patch for patch in patches if means_listener(patch, placed)]
        for patch in meant:
            if patch.operation == MERGE:
                merge(placed.listener, patch.value)
        if not any(patch.operation == REMOVE for patch in meant):
            yield placed
    for patch in patches:
        if patch.operation == ADD and patch.in_context(generated.context):
            port = patch.value.address.socket_address.port_value
            yield PlacedListener(generated.context, port, patch.value.name, copy.deepcopy(patch.value))


def _listener(groups: dict[str, list[Patch]], placed: PlacedListener) -> PlacedListener:
    listener = placed.listener
    filters = [patch for patch in groups["LISTENER_FILTER"] if means_listener(patch, placed)]
    _edit(
        listener.listener_filters, filters, lambda patch: named(patch.listener.get("listenerFilter", "")), _has_filter
    )
    kept = []
    for chain in listener.filter_chains:
        meant = [p for p in groups["FILTER_CHAIN"] if means_listener(p, placed) and means_chain(p, chain)]
        for patch in meant:
            if patch.operation == MERGE:
                merge(chain, patch.value)
        if not any(patch.operation == REMOVE for patch in meant):
            _chain(groups, placed, chain)
            kept.append(chain)
    added = [p.value for p in groups["FILTER_CHAIN"] if p.operation == ADD and means_listener(p, placed)]
    _replace(listener.filter_chains, [*kept, *added])
    return placed


def _has_filter(patch: Patch) -> bool:
    return bool(patch.listener.get("listenerFilter"))


def _chain(groups: dict[str, list[Patch]], placed: PlacedListener, chain: Any) -> None:
    def meant(kind: str) -> list[Patch]:
        return [patch for patch in groups[kind] if means_listener(patch, placed) and means_chain(patch, chain)]

    _edit(chain.filters, meant("NETWORK_FILTER"), lambda p: named(p.filter_name), lambda p: bool(p.filter_name))
    for network in chain.filters:
        if network.name == MANAGER:
            http = [patch for patch in meant("HTTP_FILTER") if patch.filter_name in ("", MANAGER)]
            _manager(groups, placed, network, http)


def _manager(groups: dict[str, list[Patch]], placed: PlacedListener, network: Any, patches: list[Patch]) -> None:
    manager = hcm.HttpConnectionManager()
    network.typed_config.Unpack(manager)
    _edit(manager.http_filters, patches, lambda p: named(p.http_filter_name), lambda p: bool(p.http_filter_name))
    if patches and (not manager.http_filters or manager.http_filters[-1].name != ROUTER):
        raise _blame(patches[-1], f"the last HTTP filter must be {ROUTER}; insert before it")
    if placed.context == INBOUND:
        _routes(groups, INBOUND, manager.route_config)
    network.typed_config.CopyFrom(packed(manager))


def _blame(patch: Patch, message: str) -> Exception:
    return patch.resource.refusal(patch.path, message)


def _routes(groups: dict[str, list[Patch]], context: str, configuration: Any) -> None:
    def meant(kind: str) -> list[Patch]:
        return [patch for patch in groups[kind] if means_routes(patch, context, configuration.name)]

    for patch in meant("ROUTE_CONFIGURATION"):
        merge(configuration, patch.value)
    kept = []
    for host in configuration.virtual_hosts:
        changed = _host(meant("VIRTUAL_HOST"), host)
        if changed is not None:
            routes = [patch for patch in meant("HTTP_ROUTE") if means_host(patch, changed)]
            test = lambda patch: lambda route: means_route(patch, route)  # noqa: E731  # one test for each patch
            _edit(changed.routes, routes, test, lambda patch: "route" in patch.host, all_of=True)
            kept.append(changed)
    added = [patch.value for patch in meant("VIRTUAL_HOST") if patch.operation == ADD]
    _replace(configuration.virtual_hosts, [*kept, *added])


def _host(patches: list[Patch], host: Any) -> Any | None:
    result = copy.deepcopy(host)
    for patch in patches:
        if patch.operation == ADD or not means_host(patch, result):
            continue
        if patch.operation == REMOVE:
            return None
        if patch.operation == MERGE:
            merge(result, patch.value)
        else:
            result = copy.deepcopy(patch.value)
    return result


def _clusters(patches: list[Patch], generated: Patched) -> list[tuple[str, Any]]:
    kept = []
    for context, cluster in generated.clusters:
        meant = [patch for patch in patches if patch.operation != ADD and means_cluster(patch, context, cluster)]
        for patch in meant:
            if patch.operation == MERGE:
                merge(cluster, patch.value)
        if not any(patch.operation == REMOVE for patch in meant):
            kept.append((context, cluster))
    contexts = {generated.context, *(context for context, _ in generated.clusters)}
    added = [p for p in patches if p.operation == ADD and any(p.in_context(context) for context in contexts)]
    return [*kept, *((generated.context, patch.value) for patch in added)]


def _edit(
    items: Any,
    patches: list[Patch],
    test: Callable[[Patch], Callable[[Any], bool]],
    chosen: Callable[[Patch], bool],
    *,
    all_of: bool = False,
) -> None:
    """
    Change a list: what is added, inserted, replaced and removed first, in order, then what is merged.

    *chosen* tells whether a patch means certain items; *all_of* lets one that does not remove them all.
    """
    result = list(items)
    for patch in patches:
        if patch.operation != MERGE:
            result = _inserted(result, patch, test(patch), certain=chosen(patch) or all_of)
    result = [copy.deepcopy(item) for item in result]
    for patch in patches:
        for item in result if patch.operation == MERGE else ():
            if test(patch)(item):
                merge(item, patch.value)
    _replace(items, result)


def _inserted(items: list[Any], patch: Patch, test: Callable[[Any], bool], *, certain: bool) -> list[Any]:
    place = next((number for number, item in enumerate(items) if test(item)), None)
    if patch.operation == REMOVE:
        return [item for item in items if not test(item)] if certain else items
    if patch.operation == "REPLACE":
        return [patch.value if certain and number == place else item for number, item in enumerate(items)]
    if patch.operation == ADD:
        return [*items, patch.value]
    if patch.operation == "INSERT_FIRST":
        return [patch.value, *items]
    if not certain:
        return [patch.value, *items] if patch.operation == "INSERT_BEFORE" else [*items, patch.value]
    if place is None:
        return items
    at = place + (patch.operation == "INSERT_AFTER")
    return [*items[:at], patch.value, *items[at:]]


def _replace(items: Any, result: list[Any]) -> None:
    copies = [copy.deepcopy(item) for item in result]
    del items[:]
    items.extend(copies)
