"""
What an Envoy's configuration comes to, from the translator and from istiod, in one form without what means nothing.

Left out on purpose: how configuration is delivered, names of statistics, where a block came from, localities and
weights of one, virtual addresses among domains, resolvers of names, HTTP/1 options that are the default, what is done
with hosts that nobody knows (there is no interception here), filters of Istio's own, and listeners' addresses.
"""

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict

from translator.config.translate import Configuration

Json = Any
MANAGER = "envoy.filters.network.http_connection_manager"
UNKNOWN_HOSTS = ("allow_any", "block_all")
# Fields that say nothing about behaviour, wherever they stand.
COSMETIC = frozenset(
    {
        "sdsConfig",
        "edsConfig",
        "edsClusterConfig",
        "trackRemaining",
        "statPrefix",
        "altStatName",
        "locality",
        "dnsLookupFamily",
        "dnsRefreshRate",
        "respectDnsTtl",
        "dnsJitter",
        "typedDnsResolverConfig",
        "httpProtocolOptions",
        "decorator",
        "maxDirectResponseBodySizeBytes",
        "validateClusters",
        "ignorePortInHostMatching",
        "loadAssignment",
    }
)
FILTERS = ("envoy.filters.http.rbac", "envoy.filters.http.jwt_authn")
ADDRESS = re.compile(r"[0-9.]+|\[.*\]|[0-9a-f]*:[0-9a-f:]*")
CHAIN_PORT = re.compile(r"0\.0\.0\.0_(\d+)")


def of_translator(configuration: Configuration) -> dict[str, Json]:
    """
    The projection of what the translator makes for a workload.
    """
    parts = {name: [MessageToDict(m) for m in getattr(configuration, name)] for name in PARTS}
    return _projection(parts, lambda listener: str(listener["address"]["socketAddress"]["portValue"]))


def of_istiod(answer: dict[str, list[Json]], ports: Iterable[str]) -> dict[str, Json]:
    """
    The projection of what istiod makes for it; *ports* are the numbers of the workload's outbound listeners.
    """
    wanted = set(ports)
    parts = {**answer, "routes": [r for r in answer["routes"] if r["name"] in wanted or not r["name"].isdecimal()]}
    return _projection(parts, None)


PARTS = ("listeners", "clusters", "routes", "endpoints")


def _projection(parts: dict[str, list[Json]], port_of: Any) -> dict[str, Json]:
    clusters = [c for c in parts["clusters"] if c["name"].startswith(("outbound|", "inbound|"))]
    assignments = {a["clusterName"]: a for a in parts["endpoints"]}
    assignments |= {c["name"]: c["loadAssignment"] for c in clusters if "loadAssignment" in c}
    names = [cluster["name"] for cluster in clusters if cluster["name"].startswith("outbound|")]
    return {
        "routes": {r["name"]: _hosts(r) for r in parts["routes"] if not r["name"].startswith(("inbound", "Inbound"))},
        "clusters": {cluster["name"]: _cluster(cluster) for cluster in clusters},
        "endpoints": {name: _endpoints(assignments.get(name, {})) for name in names},
        "inbound": _inbound(parts["listeners"], port_of),
    }


def _hosts(routes: Json) -> dict[str, Json]:
    found = {}
    for host in routes.get("virtualHosts", ()):
        if host["name"] in UNKNOWN_HOSTS:
            continue
        domains = [d for d in host["domains"] if not ADDRESS.fullmatch(d) and not d.endswith(".")]
        rest = {key: value for key, value in host.items() if key not in ("name", "domains")}
        for domain in domains:
            found[domain] = clean(rest)
    return found


def _cluster(cluster: Json) -> Json:
    result = clean(cluster)
    if "outlierDetection" not in result:
        result.get("commonLbConfig", {}).pop("healthyPanicThreshold", None)
    return _without_empty(result)


def _endpoints(assignment: Json) -> list[Json]:
    found = []
    for locality in assignment.get("endpoints", ()):
        for endpoint in locality.get("lbEndpoints", ()):
            address = endpoint["endpoint"]["address"].get("socketAddress", {})
            match = endpoint.get("metadata", {}).get("filterMetadata", {}).get("envoy.transport_socket_match", {})
            found.append(
                {
                    "address": f"{address.get('address')}:{address.get('portValue')}",
                    "weight": endpoint.get("loadBalancingWeight", 1),
                    "tls": match.get("tlsMode", "disabled"),
                }
            )
    return sorted(found, key=str)


def _inbound(listeners: list[Json], port_of: Any) -> dict[str, Json]:
    """
    By port: which transports are taken, and the filters that decide who may call.
    """
    found: dict[str, Json] = {}
    for listener in listeners:
        if not listener["name"].startswith("virtualInbound"):
            continue
        for chain in listener.get("filterChains", ()):
            match = chain.get("filterChainMatch", {})
            port = port_of(listener) if port_of else str(match.get("destinationPort", ""))
            manager = next((f["typedConfig"] for f in chain["filters"] if f["name"] == MANAGER), None)
            if not port or manager is None:
                continue
            key = f"{port}/{match.get('transportProtocol', 'any')}"
            kept = [clean(f) for f in manager.get("httpFilters", ()) if f["name"] in FILTERS]
            found[key] = {"filters": kept, "client": bool(chain.get("transportSocket"))}
    return found


def clean(node: Json) -> Json:
    """
    The same without what means nothing.
    """
    if isinstance(node, dict):
        kept = {key: clean(value) for key, value in node.items() if key not in COSMETIC}
        kept.get("filterMetadata", {}).pop("istio", None)
        return _without_empty(kept)
    return [clean(item) for item in node] if isinstance(node, list) else node


def _without_empty(node: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in node.items() if value not in ({}, [])}
