"""
`breakers`: for every sidecar and every host behind it, whether it is ejected, since when, and the calls in progress.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runtime.breakers import Outbound, State, outbound, state
from translator.control import admin
from translator.control.columns import columns
from translator.model.registry import Workload


@dataclass(frozen=True)
class Breaker:
    """
    One host as one sidecar sees it; `errors` are those since its last success, as far as they were observed.

    A cluster without hosts is one line without a host.
    """

    sidecar: str
    service: str
    host: str
    ejected: bool
    cluster: State
    active: int
    pending: int
    retries: int
    requests: int
    failed: int
    since: str = ""
    errors: int = 0


async def read_breakers(workloads: Iterable[Workload]) -> list[Breaker]:
    """
    Return every breaker of every running Envoy, by name.
    """
    found = await asyncio.gather(*(_of(workload) for workload in workloads))
    breakers = [breaker for group in found for breaker in group]
    return sorted(breakers, key=lambda each: (each.sidecar, each.service, each.host or ""))


async def _of(workload: Workload) -> list[Breaker]:
    text, statistics = await asyncio.gather(
        admin.get(workload.admin, "/clusters?format=json"),
        admin.get(workload.admin, "/stats?filter=^cluster%5C.outbound.*upstream_rq_(pending_active|retry)$"),
    )
    if text is None:
        return []
    return breakers_in(workload.name, json.loads(text), statistics or "")


def breakers_in(sidecar: str, clusters: Mapping[str, Any], statistics: str) -> list[Breaker]:
    """
    Return the breakers in an Envoy's `/clusters?format=json`, with the counts of its `/stats`.
    """
    counts = _counts(statistics)
    found = ((outbound(cluster["name"]), cluster) for cluster in clusters.get("cluster_statuses", ()))
    return [b for target, cluster in found if target is not None for b in _hosts(sidecar, target, cluster, counts)]


def _counts(text: str) -> dict[str, int]:
    pairs = (line.rpartition(": ") for line in text.splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def _hosts(sidecar: str, target: Outbound, cluster: Mapping[str, Any], counts: Mapping[str, int]) -> list[Breaker]:
    hosts = cluster.get("host_statuses", ())
    ejected = {_address(host): bool(host["health_status"].get("failed_outlier_check")) for host in hosts}
    prefix = f"cluster.{cluster['name']};."
    common = Breaker(
        sidecar=sidecar,
        service=f"{target.host}:{target.port}" + (f" ({target.subset})" if target.subset else ""),
        host="",
        ejected=False,
        cluster=state(hosts=len(ejected), ejected=sum(ejected.values())),
        active=0,
        pending=counts.get(f"{prefix}upstream_rq_pending_active", 0),
        retries=counts.get(f"{prefix}upstream_rq_retry", 0),
        requests=0,
        failed=0,
    )
    return [
        replace(
            common,
            host=_address(host),
            ejected=ejected[_address(host)],
            active=_statistic(host, "rq_active"),
            requests=_statistic(host, "rq_total"),
            failed=_statistic(host, "rq_error"),
        )
        for host in hosts
    ] or [common]


def _address(host: Mapping[str, Any]) -> str:
    socket = host["address"]["socket_address"]
    return f"{socket['address']}:{socket['port_value']}"


def _statistic(host: Mapping[str, Any], name: str) -> int:
    return next((int(item.get("value", 0)) for item in host.get("stats", ()) if item["name"] == name), 0)


class Watch:
    """
    Remembers between polls since when a host has been ejected and how many errors it has had since its last success.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, str, str], str] = {}
        self._errors: dict[tuple[str, str, str], int] = {}
        self._before: dict[tuple[str, str, str], Breaker] = {}

    def look(self, breakers: Iterable[Breaker], now: datetime) -> list[Breaker]:
        """
        Return the breakers with the remembered values.
        """
        return [self._remembered(breaker, now) for breaker in breakers]

    def _remembered(self, breaker: Breaker, now: datetime) -> Breaker:
        key = (breaker.sidecar, breaker.service, breaker.host)
        before = self._before.get(key, breaker)
        failed, done = breaker.failed - before.failed, breaker.requests - before.requests
        succeeded = done - failed > breaker.active
        self._errors[key] = max(0, failed if succeeded else self._errors.get(key, 0) + failed)
        self._since[key] = (self._since.get(key) or now.isoformat(timespec="seconds")) if breaker.ejected else ""
        self._before[key] = breaker
        return replace(breaker, since=self._since[key], errors=self._errors[key])


def with_memory(breaker: Breaker, known: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> Breaker:
    """
    Return a breaker with the values that the controller remembers.
    """
    item = known.get((breaker.sidecar, breaker.service, breaker.host), {})
    since = str(item.get("since", "")) if breaker.ejected else ""
    return replace(breaker, since=since, errors=int(item.get("errors", 0)))


HEADER = ("SIDECAR", "SERVICE", "HOST", "STATE", "SINCE", "ERRORS IN A ROW", "ACTIVE", "PENDING", "RETRIES", "REQUESTS")


def table(breakers: Iterable[Breaker]) -> list[str]:
    """
    Return the breakers as lines for a person.
    """
    return columns([HEADER, *(_row(breaker) for breaker in breakers)], gap=2)


def _row(breaker: Breaker) -> tuple[str, ...]:
    numbers = (breaker.errors, breaker.active, breaker.pending, breaker.retries, breaker.requests)
    return (
        breaker.sidecar,
        breaker.service,
        breaker.host or "-",
        _in_words(breaker),
        breaker.since or "-",
        *map(str, numbers),
    )


def _in_words(breaker: Breaker) -> str:
    if breaker.cluster is State.EMPTY:
        return "no hosts"
    if not breaker.ejected:
        return "closed"
    return "OPEN: no healthy host" if breaker.cluster is State.OPEN else "ejected"
