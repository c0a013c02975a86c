"""Observes the effects of faults beside the customers' own calls: logs, topics, PostgreSQL's leader."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from chaos.lab.environment import Environment, Logs, leader_of
from chaos.lab.expect import Seen
from chaos.lab.history import Call
from chaos.lab.samples import Sample
from chaos.truth import StoredOrder

SERVICES = ("orders", "inventory", "edge")


class Baseline:
    """Records the state at the beginning of the faults, and compares."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._logs: Logs | None = None
        self._ends: Mapping[str, int] = {}
        self._leader = ""

    async def begin(self) -> None:
        """Record the state; raises `NotRead` while Kafka is down."""
        self._logs = await asyncio.to_thread(self._environment.log_mark)
        self._ends = await asyncio.to_thread(self._environment.topic_ends)
        self._leader = leader_of(await self._environment.roles())

    async def seen(
        self,
        calls: Sequence[Call],
        samples: Sequence[Sample],
        orders: Mapping[str, StoredOrder],
        unwell: frozenset[str],
    ) -> Seen:
        """Return what has happened since `begin`; raises `NotRead` while Kafka is down."""
        assert self._logs is not None  # noqa: S101 - `begin` was called
        now = await asyncio.to_thread(self._environment.topic_ends)
        lines = {service: await asyncio.to_thread(self._logs.lines, service) for service in SERVICES}
        return Seen(
            calls=calls,
            orders=orders,
            lines=lines,
            messages={topic: now[topic] - before for topic, before in self._ends.items()},
            leaders=(self._leader, leader_of(await self._environment.roles())),
            unhealthy=unwell,
            peaks={
                "pending": max((each.pending or 0 for each in samples), default=0),
                "outbox": max((each.outbox or 0 for each in samples), default=0),
            },
        )
