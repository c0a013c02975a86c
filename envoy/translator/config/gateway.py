"""
Gateways: the entry points for calls from outside (istio: core/gateway.go).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2

from translator.config.http_connection_manager import connection_manager, network_filter, subscribe_routes
from translator.config.listener import GATEWAY, PlacedListener
from translator.config.protoconv import packed, socket_address
from translator.config.route.context import Listening, RouteContext
from translator.config.route.match import is_catch_all
from translator.config.route.route import http_routes, route_configuration
from translator.config.secrets import Secrets
from translator.config.tls_context import gateway_tls, tls_socket
from translator.model.hosts import host_matches, specificity
from translator.model.problems import BlockError, attributed, within
from translator.model.proxy import Proxy
from translator.model.resources import Resource
from translator.model.values import Block

HTTP_PROTOCOLS = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB"})


@dataclass(frozen=True)
class Server:
    """
    One server of a Gateway.
    """

    resource: Resource
    number: int
    block: Block

    @property
    def port(self) -> int:
        """
        Return the port number in the Gateway.
        """
        return int(self.block["port"]["number"])

    @property
    def secure(self) -> bool:
        """
        Return whether TLS is terminated here.
        """
        return str(self.block["port"]["protocol"]).upper() == "HTTPS"

    @property
    def gateway(self) -> str:
        """
        Return the Gateway's full name.
        """
        return f"{self.resource.namespace}/{self.resource.name}"

    @property
    def routes_name(self) -> str:
        """
        Return the name of the route configuration: shared by the plain servers of a port, its own with TLS.
        """
        if not self.secure:
            return f"http.{self.port}"
        return f"https.{self.port}.{self.block['port'].get('name', '')}.{self.resource.name}.{self.resource.namespace}"

    def hosts_for(self, namespace: str) -> list[str]:
        """
        Return the server's hosts that a VirtualService of *namespace* may use.
        """
        pairs = [host.rpartition("/") for host in self.block["hosts"]]
        return [
            host.lower()
            for owner, _, host in pairs
            if owner in ("", "*", namespace) or (owner == "." and namespace == self.resource.namespace)
        ]


def servers(proxy: Proxy) -> dict[int, list[Server]]:
    """
    Return the servers that this workload runs, by port, the oldest first.
    """
    found: dict[int, list[Server]] = {}
    for resource in proxy.mesh.of_kind("Gateway"):
        if resource.spec.get("selector", {}).items() <= proxy.workload.labels.items():
            for number, block in enumerate(resource.spec.get("servers", ())):
                server = Server(resource, number, block)
                found.setdefault(server.port, []).append(server)
    return dict(sorted(found.items()))


def gateway_listeners(proxy: Proxy, secrets: Secrets) -> Iterator[PlacedListener]:
    """
    Yield a listener for each port of the Gateways.
    """
    for port, group in servers(proxy).items():
        with attributed(group[0].resource), within(f"spec.servers[{group[0].number}]"):
            listener = _listener(proxy, secrets, port, group)
        yield PlacedListener(GATEWAY, port, listener.name, listener)


def _listener(proxy: Proxy, secrets: Secrets, port: int, group: list[Server]) -> listener_pb2.Listener:
    bound = proxy.workload.ports.get(port)
    if bound is None:
        raise BlockError("port.number", f"the registry binds no port {port} for workload {proxy.workload.name}")
    if len({server.secure for server in group}) > 1:
        raise BlockError("port.protocol", f"port {port} is served both with and without TLS")
    listener = listener_pb2.Listener(
        name=f"0.0.0.0_{port}",
        address=socket_address(proxy.workload.address if proxy.workload.has_ip else "0.0.0.0", bound),  # noqa: S104
        traffic_direction=base_pb2.OUTBOUND,
    )
    if group[0].secure:
        inspector = packed(tls_inspector_pb2.TlsInspector())
        listener.listener_filters.add(name="envoy.filters.listener.tls_inspector", typed_config=inspector)
        listener.filter_chains.extend(_secure_chain(proxy, secrets, server) for server in group)
    else:
        listener.filter_chains.append(_chain(proxy, secrets, group[0]))
    return listener


def _chain(proxy: Proxy, secrets: Secrets, server: Server) -> listener_components_pb2.FilterChain:
    manager = connection_manager(proxy, GATEWAY, f"outbound_0.0.0.0_{server.port}")
    subscribe_routes(manager, secrets.layout.source("rds", server.routes_name), server.routes_name)
    return listener_components_pb2.FilterChain(filters=[network_filter(manager)])


def _secure_chain(proxy: Proxy, secrets: Secrets, server: Server) -> listener_components_pb2.FilterChain:
    chain = _chain(proxy, secrets, server)
    names = sorted({host.rpartition("/")[2].lower() for host in server.block["hosts"]})
    # Envoy has no wildcard for all server names; it is expressed by setting none.
    if "*" not in names:
        chain.filter_chain_match.server_names.extend(names)
    chain.filter_chain_match.transport_protocol = "tls"
    with within("tls"):
        chain.transport_socket.CopyFrom(tls_socket(gateway_tls(server.block.get("tls", {}), secrets)))
    return chain


def gateway_routes(proxy: Proxy) -> Iterator[route_pb2.RouteConfiguration]:
    """
    Return the routes of the servers, by the name in their listeners.
    """
    by_name: dict[str, list[Server]] = {}
    for group in servers(proxy).values():
        for server in group:
            by_name.setdefault(server.routes_name, []).append(server)
    for name, group in sorted(by_name.items()):
        yield _configuration(proxy, name, group)


def _configuration(proxy: Proxy, name: str, group: list[Server]) -> route_pb2.RouteConfiguration:
    configuration = route_configuration(name)
    hosts: dict[str, route.VirtualHost] = {}
    for server in group:
        for resource in proxy.virtual_services([server.gateway]):
            _add_routes(hosts, proxy, server, resource)
        if _redirects(server):
            for host in server.block["hosts"]:
                # A host with a namespace is compared with it, as in Istio, so alone it redirects nobody.
                name = host.removeprefix("*/").lower()
                _host(hosts, name, server.port).require_tls = route.VirtualHost.ALL
    if not hosts:
        hosts["*"] = route.VirtualHost(name=f"blackhole:{group[0].port}", domains=["*"])
    for host in sorted(hosts):
        ordered = sorted(hosts[host].routes, key=lambda item: is_catch_all(item.match))
        del hosts[host].routes[:]
        hosts[host].routes.extend(ordered)
        configuration.virtual_hosts.append(hosts[host])
    return configuration


def _add_routes(hosts: dict[str, route.VirtualHost], proxy: Proxy, server: Server, resource: Resource) -> None:
    wanted = [host.lower() for host in resource.spec.get("hosts", ())]
    shared = list(_intersection(server.hosts_for(resource.namespace), wanted))
    if not shared:
        return
    listening = Listening(frozenset({server.gateway}), server.port, tls="tls" in server.block)
    routes = http_routes(RouteContext(proxy, resource, listening))
    for host in shared if routes else ():
        made = _host(hosts, host, server.port)
        made.routes.extend(routes)
        if _redirects(server):
            made.require_tls = route.VirtualHost.ALL


def _redirects(server: Server) -> bool:
    return bool(server.block.get("tls", {}).get("httpsRedirect"))


def _host(hosts: dict[str, route.VirtualHost], host: str, port: int) -> route.VirtualHost:
    if host not in hosts:
        hosts[host] = route.VirtualHost(name=f"{host}:{port}", domains=[host], include_request_attempt_count=True)
    return hosts[host]


def _intersection(ours: Iterable[str], theirs: Iterable[str]) -> Iterator[str]:
    """
    Return the hosts in both lists, each pair yielding the more specific one.
    """
    others = list(theirs)
    found = set()
    for one in ours:
        for other in others:
            if host_matches(one, other) or host_matches(other, one):
                found.add(max(one, other, key=specificity))
    yield from sorted(found)
