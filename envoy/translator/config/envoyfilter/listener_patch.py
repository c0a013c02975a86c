"""
Patches of listeners, filter chains and filters (istio: core/envoyfilter/listener_patch.go).
"""

import copy
from collections.abc import Iterator
from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from translator.config.envoyfilter.edit import edit, replace_all
from translator.config.envoyfilter.match import means_chain, means_listener, named
from translator.config.envoyfilter.merge import merge
from translator.config.envoyfilter.patch import ADD, MERGE, REMOVE, Patch, Patched
from translator.config.envoyfilter.rc_patch import patch_routes
from translator.config.http_connection_manager import MANAGER, ROUTER
from translator.config.listener import INBOUND, PlacedListener
from translator.config.protoconv import packed


def patched_listeners(patches: list[Patch], generated: Patched) -> Iterator[PlacedListener]:
    """
    Yield the listeners with the patches of whole listeners applied.
    """
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


def patch_listener(groups: dict[str, list[Patch]], placed: PlacedListener) -> PlacedListener:
    """
    Apply the patches of what is in a listener: filter chains, filters, and the routes of an inbound one.
    """
    listener = placed.listener
    filters = [patch for patch in groups["LISTENER_FILTER"] if means_listener(patch, placed)]
    edit(listener.listener_filters, filters, lambda patch: named(patch.listener.get("listenerFilter", "")), _has_filter)
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
    replace_all(listener.filter_chains, [*kept, *added])
    return placed


def _has_filter(patch: Patch) -> bool:
    return bool(patch.listener.get("listenerFilter"))


def _chain(groups: dict[str, list[Patch]], placed: PlacedListener, chain: Any) -> None:
    def meant(kind: str) -> list[Patch]:
        return [patch for patch in groups[kind] if means_listener(patch, placed) and means_chain(patch, chain)]

    edit(chain.filters, meant("NETWORK_FILTER"), lambda p: named(p.filter_name), lambda p: bool(p.filter_name))
    for network in chain.filters:
        if network.name == MANAGER:
            http = [patch for patch in meant("HTTP_FILTER") if patch.filter_name in ("", MANAGER)]
            _manager(groups, placed, network, http)


def _manager(groups: dict[str, list[Patch]], placed: PlacedListener, network: Any, patches: list[Patch]) -> None:
    manager = hcm.HttpConnectionManager()
    network.typed_config.Unpack(manager)
    edit(manager.http_filters, patches, lambda p: named(p.http_filter_name), lambda p: bool(p.http_filter_name))
    if patches and (not manager.http_filters or manager.http_filters[-1].name != ROUTER):
        raise _blame(patches[-1], f"the last HTTP filter must be {ROUTER}; insert before it")
    if placed.context == INBOUND:
        patch_routes(groups, INBOUND, manager.route_config)
    network.typed_config.CopyFrom(packed(manager))


def _blame(patch: Patch, message: str) -> Exception:
    return patch.resource.refusal(patch.path, message)
