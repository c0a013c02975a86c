"""
Parses the patches of EnvoyFilters (istio: model/envoyfilter.go).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2

from translator.config.envoyfilter.value import parse_value
from translator.config.listener import PlacedListener
from translator.model.problems import BlockError, attributed, within
from translator.model.proxy import Proxy
from translator.model.resources import Resource
from translator.model.values import Block

ANY = "ANY"
REMOVE, MERGE, ADD = "REMOVE", "MERGE", "ADD"
LISTED = frozenset({ADD, REMOVE, MERGE, "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE"})
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
class Patch:
    """
    One patch of an EnvoyFilter, with its parsed value.
    """

    resource: Resource
    number: int
    apply_to: str
    operation: str
    match: Block
    value: Any

    @property
    def path(self) -> str:
        """
        Return the path in its resource.
        """
        return f"spec.configPatches[{self.number}]"

    @property
    def listener(self) -> Block:
        """
        Return the listener part of the match.
        """
        return dict(self.match.get("listener", {}))

    @property
    def chain(self) -> Block:
        """
        Return the filter chain part of the match.
        """
        return dict(self.listener.get("filterChain", {}))

    @property
    def filter_name(self) -> str:
        """
        Return the network filter to match, if any.
        """
        return str(self.chain.get("filter", {}).get("name", ""))

    @property
    def http_filter_name(self) -> str:
        """
        Return the HTTP filter to match, if any.
        """
        return str(self.chain.get("filter", {}).get("subFilter", {}).get("name", ""))

    @property
    def host(self) -> Block:
        """
        Return the virtual host part of the match.
        """
        return dict(self.match.get("routeConfiguration", {}).get("vhost", {}))

    def in_context(self, context: str) -> bool:
        """
        Return whether it applies to traffic of this direction.
        """
        return self.match.get("context", ANY) in (ANY, context)


@dataclass(frozen=True)
class PlacedCluster:
    """
    A cluster and the direction of its traffic; `hosts` are those of the services behind an inbound one.
    """

    context: str
    cluster: cluster_pb2.Cluster
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patched:
    """
    The generated configuration that patches apply to.
    """

    context: str
    listeners: list[PlacedListener]
    routes: list[Any]
    clusters: list[PlacedCluster]


def read_patches(resource: Resource) -> Iterator[Patch]:
    """
    Return the patches of one EnvoyFilter.
    """
    for number, block in enumerate(resource.spec.get("configPatches", ())):
        with within(f"spec.configPatches[{number}]"):
            yield _read(resource, number, block)


def _read_all(resource: Resource) -> list[Patch]:
    return list(read_patches(resource))


def _read(resource: Resource, number: int, block: dict[str, Any]) -> Patch:
    patch, match = block.get("patch", {}), block.get("match", {})
    apply_to, operation = block.get("applyTo", "INVALID"), patch.get("operation", "INVALID")
    if operation != REMOVE and "value" not in patch:
        raise BlockError("patch.value", f"is required to {operation}")
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
    Return the patches for a workload: the root namespace's first, then by priority and age.
    """
    root = proxy.registry.root_namespace
    resources = proxy.mesh.selected("EnvoyFilter", proxy.workload)
    ordered = sorted(resources, key=lambda item: (item.namespace != root, item.spec.get("priority", 0), item.age))
    found = []
    for resource in ordered:
        with attributed(resource):
            found += proxy.mesh.cached(resource, partial(_read_all, resource))
    return found
