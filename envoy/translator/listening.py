"""
A listener together with what Istio would call it.
"""

from dataclasses import dataclass

from envoy.config.listener.v3 import listener_pb2


@dataclass(frozen=True)
class PlacedListener:
    """
    An Envoy listener; `port` is the port in the resources' words, which may be another than the one bound here.
    """

    context: str
    port: int
    istio_name: str
    listener: listener_pb2.Listener
