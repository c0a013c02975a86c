"""Observes the effects of faults beside the customers' own calls: logs, topics, PostgreSQL's leader."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos import breakage
from chaos.lab.expect import LogMark, Seen
from chaos.lab.history import Call
from chaos.lab.samples import Sample
from chaos.truth import NotRead, StoredOrder
from runtime.errors import Error
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import topic_ends

TOPICS = ("pending_orders", "order_events", "stock_events")
SERVICES = ("orders", "inventory", "edge")


class Baseline:
    """Records the state at the beginning of the faults, and compares."""

    def __init__(self, logs: Path, brokers: str, patroni: Sequence[str]) -> None:
        self._logs = logs
        self._brokers = brokers
        self._patroni = patroni
        self._mark = LogMark({})
        self._ends: Mapping[str, int] = {}
        self._leader = ""

    async def begin(self) -> None:
        """Record the state; raises `NotRead` while Kafka is down."""
        self._mark = LogMark.now(self._logs)
        self._ends = await self._ends_now()
        self._leader = await self._leader_now()

    async def seen(
        self,
        calls: Sequence[Call],
        samples: Sequence[Sample],
        orders: Mapping[str, StoredOrder],
        unwell: frozenset[str],
    ) -> Seen:
        """Return what has happened since `begin`; raises `NotRead` while Kafka is down."""
        now = await self._ends_now()
        return Seen(
            calls=calls,
            orders=orders,
            lines={service: self._mark.lines(service) for service in SERVICES},
            messages={topic: now[topic] - before for topic, before in self._ends.items()},
            leaders=(self._leader, await self._leader_now()),
            unhealthy=unwell,
            peaks={
                "pending": max((each.pending or 0 for each in samples), default=0),
                "outbox": max((each.outbox or 0 for each in samples), default=0),
            },
        )

    async def _ends_now(self) -> dict[str, int]:
        try:
            ends = {topic: await asyncio.to_thread(topic_ends, KafkaCluster(self._brokers), topic) for topic in TOPICS}
        except Error as error:
            raise NotRead(error.message) from error
        return {topic: sum(offsets.values()) for topic, offsets in ends.items()}

    async def _leader_now(self) -> str:
        with contextlib.suppress(LookupError):
            return await breakage.leader(self._patroni)
        return ""
