"""
The inbound listeners of a sidecar (istio: core/listener_inbound.go, filterchain_options.go).
"""

from collections.abc import Iterator

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2

from translator.config.http_connection_manager import connection_manager, network_filter
from translator.config.listener import INBOUND, PlacedListener
from translator.config.names import inbound_cluster
from translator.config.protoconv import packed, socket_address, uint32
from translator.config.route.retry import retry_conditions
from translator.config.secrets import Secrets
from translator.config.tls_context import MESH_SERVER_ALPN, mutual_from_sidecars, tls_socket
from translator.model.peer_authentication import mutual_tls_mode
from translator.model.problems import BlockError
from translator.model.proxy import Proxy
from translator.model.registry import Inbound
from translator.model.service import Port
from translator.model.service_target import inbound_service

NAME = "virtualInbound"
RETRY_ON, RETRIES = "reset-before-request", 2
Match = listener_components_pb2.FilterChainMatch


def inbound_listeners(proxy: Proxy, secrets: Secrets) -> Iterator[PlacedListener]:
    """
    Yield a listener for each port of the workload.
    """
    for inbound in proxy.workload.inbound:
        listener = listener_pb2.Listener(
            name=f"{NAME}_{inbound.port}",
            address=socket_address(proxy.workload.address if proxy.workload.has_ip else "0.0.0.0", inbound.port),  # noqa: S104
            traffic_direction=base_pb2.INBOUND,
            listener_filters=[_tls_inspector()],
            filter_chains=list(_chains(proxy, secrets, inbound)),
        )
        yield PlacedListener(INBOUND, inbound.port, NAME, listener)


def _tls_inspector() -> listener_components_pb2.ListenerFilter:
    config = packed(tls_inspector_pb2.TlsInspector())
    return listener_components_pb2.ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=config)


def _chains(proxy: Proxy, secrets: Secrets, inbound: Inbound) -> Iterator[listener_components_pb2.FilterChain]:
    """
    Return the filter chains for mutual TLS, plain text or both; a connection that no chain matches is closed.
    """
    mode = mutual_tls_mode(proxy.mesh, proxy.namespace, proxy.workload.labels, inbound.port)
    _, port = inbound_service(proxy, inbound)
    if not port.is_http:
        raise BlockError(
            "", f"workload {proxy.workload.name}: port {port.name} is not HTTP, which is all that sidecars take here"
        )
    if mode != "DISABLE":
        match = Match(transport_protocol="tls", application_protocols=MESH_SERVER_ALPN if mode == "PERMISSIVE" else ())
        chain = _chain(proxy, inbound, port, match)
        chain.transport_socket.CopyFrom(tls_socket(mutual_from_sidecars(secrets, proxy.registry.trust_domain)))
        yield chain
    if mode != "STRICT":
        yield _chain(proxy, inbound, port, Match(transport_protocol="raw_buffer"))


def _chain(
    proxy: Proxy, inbound: Inbound, port: Port, match: listener_components_pb2.FilterChainMatch
) -> listener_components_pb2.FilterChain:
    manager = connection_manager(proxy, INBOUND, f"inbound_0.0.0.0_{inbound.port}")
    manager.route_config.CopyFrom(_routes(inbound, port))
    name = f"0.0.0.0_{inbound.port}" + ("" if match.transport_protocol == "tls" else "_plaintext")
    return listener_components_pb2.FilterChain(name=name, filter_chain_match=match, filters=[network_filter(manager)])


def _routes(inbound: Inbound, port: Port) -> route_pb2.RouteConfiguration:
    action = route.RouteAction(cluster=inbound_cluster(inbound.port))
    # No timeout here: the caller's deadline applies.
    action.timeout.SetInParent()
    action.max_stream_duration.max_stream_duration.SetInParent()
    action.max_stream_duration.grpc_timeout_header_max.SetInParent()
    if port.protocol not in ("grpc", "grpc-web"):
        conditions, _ = retry_conditions(RETRY_ON)
        action.retry_policy.CopyFrom(route.RetryPolicy(retry_on=conditions, num_retries=uint32(RETRIES)))
    everything = route.Route(name="default", match=route.RouteMatch(prefix="/"), route=action)
    host = route.VirtualHost(name=f"inbound|http|{inbound.port}", domains=["*"], routes=[everything])
    configuration = route_pb2.RouteConfiguration(name=inbound_cluster(inbound.port), virtual_hosts=[host])
    configuration.validate_clusters.value = False
    return configuration
