"""
How an Envoy's view of a service is read, wherever it is shown: `make breakers` from its administration, the board from
Prometheus. The two must never say different things of the same moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_CLUSTER = re.compile(r"outbound\|(\d+)\|([^|]*)\|([^;|]+)")


class State(StrEnum):
    """Whether calls to a cluster find a host."""

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
    Whom an outbound cluster calls. A subset is a cluster of its own, with hosts, ejections and limits of its own.
    """

    host: str
    port: int
    subset: str

    @property
    def service(self) -> str:
        """The service's short name."""
        return self.host.partition(".")[0]


def outbound(cluster: str) -> Outbound | None:
    """
    Read a cluster's name, such as `outbound|50051|calls|orders.shop.svc.cluster.local`; nothing for other clusters.
    """
    found = _CLUSTER.fullmatch(cluster)
    return Outbound(found[3], int(found[1]), found[2]) if found else None
