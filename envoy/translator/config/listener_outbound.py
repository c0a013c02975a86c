"""
The outbound listeners of a sidecar (istio: core/listener.go).
"""

from collections.abc import Iterator

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2

from translator.config.http_connection_manager import connection_manager, network_filter, subscribe_routes
from translator.config.listener import OUTBOUND, PlacedListener
from translator.config.protoconv import socket_address
from translator.config.secrets import Secrets
from translator.model.proxy import Proxy


def outbound_listeners(proxy: Proxy, secrets: Secrets) -> Iterator[PlacedListener]:
    """
    Yield a listener for each port on which the workload calls others.
    """
    for outbound in proxy.workload.outbound:
        manager = connection_manager(proxy, OUTBOUND, f"outbound_0.0.0.0_{outbound.port}")
        subscribe_routes(manager, secrets.layout.source("rds", str(outbound.port)), str(outbound.port))
        chain = listener_components_pb2.FilterChain(filters=[network_filter(manager)])
        listener = listener_pb2.Listener(
            name=f"0.0.0.0_{outbound.port}",
            address=socket_address(outbound.listen.host, outbound.listen.port),
            traffic_direction=base_pb2.OUTBOUND,
            filter_chains=[chain],
        )
        yield PlacedListener(OUTBOUND, outbound.port, listener.name, listener)
