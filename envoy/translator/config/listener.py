"""
Listeners under Istio's names, and the traffic directions of EnvoyFilters.
"""

from dataclasses import dataclass

from envoy.config.listener.v3 import listener_pb2

INBOUND, OUTBOUND, GATEWAY = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"


@dataclass(frozen=True)
class PlacedListener:
    """
    An Envoy listener; `port` is the port in the resources, which may differ from the bound one.
    """

    context: str
    port: int
    istio_name: str
    listener: listener_pb2.Listener
