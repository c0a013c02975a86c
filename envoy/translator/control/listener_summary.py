"""
Listeners in one line for each filter chain, as `istioctl proxy-config listeners` describes them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]
HTTP, TCP = "envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy"
# Application protocols that have a name of their own.
PROTOCOLS = {
    ("http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "HTTP TLS",
    ("istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "Istio HTTP Plain",
    ("istio-peer-exchange", "istio"): "TCP TLS",
    ("http/1.0", "http/1.1", "h2c"): "HTTP",
}


def address(listener: Json) -> tuple[str, int]:
    """
    Return a listener's address and port.
    """
    socket = listener.get("address", {}).get("socket_address", {})
    return str(socket.get("address", "")), int(socket.get("port_value", 0))


def listener_type(listener: Json) -> str:
    """
    Return HTTP, TCP, HTTP+TCP or UNKNOWN, by the filters of a listener's chains.
    """
    names = {found["name"] for chain in chains(listener) for found in chain.get("filters", ())}
    return "+".join(word for word, name in (("HTTP", HTTP), ("TCP", TCP)) if name in names) or "UNKNOWN"


def chains(listener: Json) -> Iterator[Json]:
    """
    Yield a listener's filter chains, the default one last.
    """
    yield from listener.get("filter_chains", ())
    if "default_filter_chain" in listener:
        yield listener["default_filter_chain"]


def match(chain: Json) -> str:
    """
    Return which connections a filter chain is for.
    """
    match_of = chain.get("filter_chain_match", {})
    port = f":{match_of['destination_port']}" if "destination_port" in match_of else ""
    ranges = [f"{r['address_prefix']}/{r.get('prefix_len', 0)}" for r in match_of.get("prefix_ranges", ())]
    protocols = tuple(match_of.get("application_protocols", ()))
    parts = [
        f"SNI: {','.join(match_of['server_names'])}" if match_of.get("server_names") else "",
        f"Trans: {match_of['transport_protocol']}" if match_of.get("transport_protocol") else "",
        f"App: {PROTOCOLS.get(protocols, ','.join(protocols))}" if protocols else "",
        f"Addr: {','.join(ranges) or '*'}{port}" if ranges or port else "",
    ]
    return "; ".join(filter(None, parts)) or "ALL"


def destination(chain: Json) -> str:
    """
    Return where a filter chain sends its connections: a route, a cluster, or routes of its own.
    """
    for found in chain.get("filters", ()):
        config = found.get("typed_config", {})
        if found["name"] == HTTP:
            if "route_config" in config:
                return _inline(config["route_config"])
            return f"Route: {config['rds']['route_config_name']}" if "rds" in config else "HTTP"
        if found["name"] == TCP:
            return _cluster(config.get("cluster", ""))
    return "Non-HTTP/Non-TCP"


def route_match(match: Json) -> str:
    """
    Return the path of a route's match; headers are left out.
    """
    parts = [
        f"{match['prefix']}*" if match.get("prefix") else "",
        f"PathPrefix:{match['path_separated_prefix']}" if match.get("path_separated_prefix") else "",
        str(match.get("path", "")),
        f"regex {match['safe_regex']['regex']}" if "safe_regex" in match else "",
    ]
    return " ".join(filter(None, parts))


def _inline(routes: Json) -> str:
    hosts = routes.get("virtual_hosts", ())
    only: list[Json] = hosts[0].get("routes", []) if len(hosts) == 1 and hosts[0].get("domains") == ["*"] else []
    if len(only) == 1 and only[0].get("match", {}).get("prefix") == "/" and "cluster" in only[0].get("route", {}):
        return _cluster(only[0]["route"]["cluster"])
    return f"Inline Route: {'; '.join(_host(host) for host in hosts)}"


def _host(host: Json) -> str:
    domains = "/".join(host.get("domains", ()))
    matches = ", ".join(route_match(route.get("match", {})) for route in host.get("routes", ()))
    return matches if domains == "*" else f"{domains} {matches}"


def _cluster(name: str) -> str:
    # BlackHoleCluster and PassthroughCluster speak for themselves.
    return name if "Cluster" in name else f"Cluster: {name}"
