"""
What the routes of a VirtualService are made for (istio: core/route/route.go RouteOptions).
"""

from dataclasses import dataclass

from translator.model.proxy import Proxy
from translator.model.resources import Resource


@dataclass(frozen=True)
class Listening:
    """
    Where the routes will be used: through which gateways, on which port, with TLS or not.
    """

    gateways: frozenset[str]
    port: int
    tls: bool = False


@dataclass(frozen=True)
class RouteContext:
    """
    A VirtualService, the proxy that will have its routes, and the listener there.
    """

    proxy: Proxy
    resource: Resource
    listening: Listening
