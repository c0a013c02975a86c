"""
What an Envoy's configuration comes to, from the translator and from istiod, in one form without what means nothing.

Left out on purpose: how configuration is delivered, names of statistics, where a block came from, localities and
weights of one, virtual addresses among domains, resolvers of names, HTTP/1 options that are the default, what is done
with hosts that nobody knows and how intercepted connections go on (there is no interception here), filters of Istio's
own and the protocol by which its proxies tell each other who they are, listeners' addresses, ports on which only one of
the two can listen, and a cluster's view of endpoints' TLS where it has one mode for all.
"""

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict

from tools.mesh_differential.policies import in_one_form
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
        "shadowRulesStatPrefix",
        "cleanupInterval",
        "upstreamBindConfig",
    }
)
# Filters and a protocol by which Istio's own proxies tell each other who they are, for telemetry.
EXCHANGE_FILTER, EXCHANGE_PROTOCOL = "istio.metadata_exchange", "istio-peer-exchange"
# The name of the system's authorities, which Istio's agent knows by another word than the path of their file.
SYSTEM_ROOT, SYSTEM_ROOT_FILE = "file-root:system", "file-root:/etc/ssl/certs/ca-certificates.crt"
# A name without a kind is compared with all of these.
NAME_KINDS = ("DNS", "URI", "EMAIL", "IP_ADDRESS")
FILTERS = ("envoy.filters.http.rbac", "envoy.filters.http.jwt_authn")
ADDRESS = re.compile(r"[0-9.]+|\[.*\]|[0-9a-f]*:[0-9a-f:]*")
CHAIN_PORT = re.compile(r"0\.0\.0\.0_(\d+)")


def of_translator(configuration: Configuration) -> dict[str, Json]:
    """
    Return the projection of what the translator makes for a workload.
    """
    parts = {name: [MessageToDict(m) for m in getattr(configuration, name)] for name in PARTS}
    return _projection(parts, lambda listener: str(listener["address"]["socketAddress"]["portValue"]))


def of_istiod(answer: dict[str, list[Json]], ports: Iterable[str]) -> dict[str, Json]:
    """
    Return the projection of what istiod makes for it; *ports* are the numbers of the workload's outbound listeners.
    """
    wanted = set(ports)
    parts = {**answer, "routes": [r for r in answer["routes"] if r["name"] in wanted or not r["name"].isdecimal()]}
    return _projection(parts, None)


PARTS = ("listeners", "clusters", "routes", "endpoints")


def _projection(parts: dict[str, list[Json]], port_of: Any) -> dict[str, Json]:
    clusters = [c for c in parts["clusters"] if c["name"].startswith(("outbound|", "inbound|"))]
    assignments = {a["clusterName"]: a for a in parts["endpoints"]}
    assignments |= {c["name"]: c["loadAssignment"] for c in clusters if "loadAssignment" in c}
    outbound = [cluster for cluster in clusters if cluster["name"].startswith("outbound|")]
    return {
        "routes": {r["name"]: _hosts(r) for r in parts["routes"] if not r["name"].startswith(("inbound", "Inbound"))},
        "clusters": {cluster["name"]: _cluster(cluster) for cluster in clusters},
        "endpoints": {c["name"]: _endpoints(c, assignments.get(c["name"], {})) for c in outbound},
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
    if cluster["name"].startswith("inbound|"):
        # An intercepted connection goes to the address it was for; here there is no interception.
        result.pop("type", None)
        result.pop("lbPolicy", None)
    return _without_empty(result)


def _endpoints(cluster: Json, assignment: Json) -> list[Json]:
    """
    Return the endpoints of a cluster; whether each is called over mutual TLS matters where the cluster goes by it.
    """
    by_endpoint = "transportSocketMatches" in cluster
    found = []
    for locality in assignment.get("endpoints", ()):
        for endpoint in locality.get("lbEndpoints", ()):
            address = endpoint["endpoint"]["address"].get("socketAddress", {})
            match = endpoint.get("metadata", {}).get("filterMetadata", {}).get("envoy.transport_socket_match", {})
            found.append(
                {
                    "address": f"{address.get('address')}:{address.get('portValue')}",
                    "weight": endpoint.get("loadBalancingWeight", 1),
                    "tls": match.get("tlsMode", "disabled") if by_endpoint else "",
                }
            )
    return sorted(found, key=str)


def _inbound(listeners: list[Json], port_of: Any) -> dict[str, Json]:
    """
    Return by port which transports are accepted, and the filters that decide who may call.
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
            kept = [in_one_form(clean(f)) for f in manager.get("httpFilters", ()) if f["name"] in FILTERS]
            found[key] = {"filters": kept, "client": bool(chain.get("transportSocket"))}
    return found


def comparable(ours: Json, istio: Json, inbound: set[str]) -> tuple[Json, Json]:
    """
    Both projections of a workload without what only one side can listen on: a port of routes on which Istio has no
    listener because no service has it, and a port that a ServiceEntry gives a workload, other than its *inbound* ones.
    """
    routes = {n: hosts for n, hosts in ours["routes"].items() if n in istio["routes"] or not n.isdecimal()}
    bound = {key: value for key, value in istio["inbound"].items() if key.partition("/")[0] in inbound}
    clusters = {
        name: cluster
        for name, cluster in istio["clusters"].items()
        if not name.startswith("inbound|") or name.split("|")[1] in inbound
    }
    return (
        {**ours, "routes": _without_empty(routes)},
        {**istio, "routes": _without_empty(istio["routes"]), "inbound": bound, "clusters": clusters},
    )


def clean(node: Json) -> Json:
    """
    Return the same without what means nothing.
    """
    if isinstance(node, dict):
        kept = {key: clean(value) for key, value in _of_one_form(node).items() if key not in COSMETIC}
        kept.get("filterMetadata", {}).pop("istio", None)
        return _without_empty(kept)
    if isinstance(node, list):
        return [clean(item) for item in node if not _is_exchange(item)]
    return SYSTEM_ROOT if node == SYSTEM_ROOT_FILE else node


def _of_one_form(node: dict[str, Json]) -> dict[str, Json]:
    """
    Return the same with names to compare in the field that says of what kind they are.
    """
    if "matchSubjectAltNames" not in node:
        return node
    names = [(matcher, "://" in matcher.get("exact", "")) for matcher in node["matchSubjectAltNames"]]
    typed = [{"sanType": kind, "matcher": name} for name, uri in names for kind in (("URI",) if uri else NAME_KINDS)]
    return {k: v for k, v in node.items() if k != "matchSubjectAltNames"} | {"matchTypedSubjectAltNames": typed}


def _is_exchange(item: Json) -> bool:
    return item == EXCHANGE_PROTOCOL or (isinstance(item, dict) and item.get("name") == EXCHANGE_FILTER)


def _without_empty(node: dict[str, Json]) -> dict[str, Json]:
    # A message of which only the type is left says nothing either.
    return {key: value for key, value in node.items() if value not in ({}, []) and value != {"@type": _type(value)}}


def _type(value: Json) -> Json:
    return value.get("@type") if isinstance(value, dict) else None
