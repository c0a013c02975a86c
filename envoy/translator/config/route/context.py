"""
The listener that routes are made for.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Listening:
    """
    Where the routes will be used: through which gateways, on which port, with TLS or not.
    """

    gateways: frozenset[str]
    port: int
    tls: bool = False
