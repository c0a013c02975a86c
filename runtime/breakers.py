"""
Envoy's view of a service, the same wherever it is shown: in `make breakers` from its admin port, on the board from
Prometheus. Both must agree at every moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_CLUSTER = re.compile(r"outbound\|(\d+)\|([^|]*)\|([^;|]+)")


class State(StrEnum):
    """Whether a cluster has healthy hosts."""

    CLOSED = "closed"
    PARTLY = "partly"
    OPEN = "open"
    EMPTY = "empty"


def state(*, hosts: int, ejected: int) -> State:
    """
    `open` when every host is ejected, `partly` when some are, else `closed`; `empty` without hosts.
    """
    if hosts <= 0:
        return State.EMPTY
    if ejected <= 0:
        return State.CLOSED
    return State.OPEN if ejected >= hosts else State.PARTLY


@dataclass(frozen=True, order=True)
class Outbound:
    """
    The destination of an outbound cluster. A subset is its own cluster, with its own hosts, ejections and limits.
    """

    host: str
    port: int
    subset: str

    @property
    def service(self) -> str:
        """Return the service's short name."""
        return self.host.partition(".")[0]


def outbound(cluster: str) -> Outbound | None:
    """
    Parse a cluster's name, such as `outbound|50051|calls|orders.shop.svc.cluster.local`; None for other clusters.
    """
    found = _CLUSTER.fullmatch(cluster)
    return Outbound(found[3], int(found[1]), found[2]) if found else None
