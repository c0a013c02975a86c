"""
The context in which routes of a VirtualService are built (istio: core/route/route.go RouteOptions).
"""

from dataclasses import dataclass

from translator.model.proxy import Proxy
from translator.model.resources import Resource


@dataclass(frozen=True)
class Listening:
    """
    Where the routes will be used: by which gateways, on which port, with TLS or not.
    """

    gateways: frozenset[str]
    port: int
    tls: bool = False


@dataclass(frozen=True)
class RouteContext:
    """
    A VirtualService, the proxy that gets its routes, and the listener there.
    """

    proxy: Proxy
    resource: Resource
    listening: Listening
