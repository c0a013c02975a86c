"""The backlog: for operators and for the metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Gauge

from orders_svc import saga
from orders_svc.dead_letters import GROUP, SOURCES
from orders_svc.operations_ports import Lags, PendingNow, WaitingNow, Waits
from orders_svc.order import State
from runtime.errors import Unavailable

PENDING = Gauge("orders_pending", "Orders that wait for their stock.")
OLDEST = Gauge("orders_pending_oldest_seconds", "How long the oldest of them has been waiting.")
LAG = Gauge("orders_saga_lag", "Messages of the saga's topics that are not processed yet.", ["topic"])
DEAD_LETTERS = Gauge("orders_dead_letters", "Messages in a dead-letter topic that were not redriven.", ["topic"])
# Concurrent requests of operators share a measurement.
FRESH_S = 3.0
NOTHING = WaitingNow({}, PendingNow(0, 0.0), 0, 0.0, 0)


@dataclass(frozen=True)
class Backlog:
    """The backlog; ages in seconds."""

    states: Mapping[State, int]
    oldest_pending_s: float
    outbox_rows: int
    outbox_lag_s: float
    refused_rows: int
    topics: Mapping[str, int]
    dead_letters: Mapping[str, int]
    unknown: Sequence[str] = ()  # what was unavailable, and why


class BacklogMonitor:
    """Measures the whole backlog, at most every `FRESH_S`."""

    def __init__(self, waits: Waits, lags: Lags, path: Sequence[saga.Stage]) -> None:
        self._waits = waits
        self._lags = lags
        self._groups = {stage.topic: saga.group_of(stage) for stage in path} | dict.fromkeys(SOURCES, GROUP)
        self._last: Backlog | None = None
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def look(self) -> Backlog:
        """
        Return the backlog, without unavailable parts; raise `Unavailable` if that is everything.
        """
        async with self._looking:
            if self._last is None or time.monotonic() - self._looked_at > FRESH_S:
                self._last = await self._look()
                self._looked_at = time.monotonic()
            return self._last

    async def _look(self) -> Backlog:
        waiting, lags = await asyncio.gather(self._waits.waiting(), self._lags.of(self._groups), return_exceptions=True)
        unknown = []
        if isinstance(waiting, BaseException):
            unknown.append(f"PostgreSQL: {_reason(waiting)}")
            if isinstance(lags, BaseException):
                raise waiting
            waiting = NOTHING
        if isinstance(lags, BaseException):
            unknown.append(f"Kafka: {_reason(lags)}")
            lags = {}
        return Backlog(
            states=waiting.states,
            oldest_pending_s=waiting.pending.oldest_s,
            outbox_rows=waiting.outbox_rows,
            outbox_lag_s=waiting.outbox_lag_s,
            refused_rows=waiting.refused_rows,
            topics={topic: count for topic, count in lags.items() if topic not in SOURCES},
            dead_letters={topic: lags.get(topic, 0) for topic in SOURCES} if lags else {},
            unknown=tuple(unknown),
        )

    async def measure(self) -> None:
        """
        Set the metrics; those of unavailable parts are unchanged.
        """
        pending = await self._waits.pending_now()
        PENDING.set(pending.orders)
        OLDEST.set(pending.oldest_s)
        for topic, count in (await self._lags.of(self._groups)).items():
            gauge = DEAD_LETTERS if topic in SOURCES else LAG
            gauge.labels(topic).set(count)


def _reason(error: BaseException) -> str:
    """Return why a part is unavailable; raise any other error."""
    if isinstance(error, Unavailable):
        return error.message
    raise error
