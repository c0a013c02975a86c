"""The edge as the clients of an experiment reach it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Edge:
    """The edge as a client reaches it."""

    address: str
    """`HOST:PORT`, for gRPC without TLS."""
    url: str
    token: Callable[..., str]
    """Returns the token of a customer; with `operator=True` one that has the operator's role."""

    def metadata(self, customer: str, *, operator: bool = False) -> Metadata:
        """Return the metadata of a gRPC call as *customer*."""
        return (("authorization", f"Bearer {self.token(customer, operator=operator)}"),)
