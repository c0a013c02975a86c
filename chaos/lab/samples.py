"""Samples the backlog in PostgreSQL and the stock while an experiment runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import grpc

from chaos import truth
from chaos.lab import prometheus
from chaos.lab.checks import Snapshot
from runtime.database import NOT_NOW

SAMPLE_S, SNAPSHOT_S, LAG_S = 1.0, 2.0, 5.0
LAG = "sum(topic:consumer_lag:sum)"
READ_S = 3.0
AWAY = (*NOT_NOW, asyncpg.PostgresError, grpc.aio.AioRpcError)


@dataclass(frozen=True)
class Sample:
    """The backlog at one time; None while PostgreSQL could not be queried."""

    at_s: float
    pending: int | None
    outbox: int | None


class Sampler:
    """Samples in the background; times are those of *clock*."""

    def __init__(self, database_url: str, edge: str, prometheus_url: str, *, clock: Callable[[], float]) -> None:
        self._database_url = database_url
        self._edge = edge
        self._prometheus = prometheus_url
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self.samples: list[Sample] = []
        self.snapshots: list[Snapshot] = []
        self.lags: list[tuple[float, float | None]] = []  # consumer lag, from Prometheus

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sample during the block."""
        tasks = [
            asyncio.create_task(_every(SAMPLE_S, self._sample)),
            asyncio.create_task(_every(SNAPSHOT_S, self._snapshot)),
            asyncio.create_task(_every(LAG_S, self._lag)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._drop()

    async def _sample(self) -> None:
        at_s = self._clock()
        try:
            async with asyncio.timeout(READ_S):
                pending, outbox = await self._waiting()
            self.samples.append(Sample(at_s, pending, outbox))
        except AWAY:
            self._drop()
            self.samples.append(Sample(at_s, None, None))

    async def _waiting(self) -> tuple[int, int]:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._database_url, timeout=READ_S)
        pending = await self._connection.fetchval("SELECT count(*) FROM orders WHERE state = 'PENDING'")
        return pending, await self._connection.fetchval("SELECT count(*) FROM outbox")

    async def _snapshot(self) -> None:
        at_s = self._clock()
        with contextlib.suppress(*AWAY):
            async with asyncio.timeout(READ_S):
                self.snapshots.append(Snapshot(at_s, await truth.stock_at(self._edge)))

    async def _lag(self) -> None:
        if self._prometheus:
            self.lags.append((self._clock(), await prometheus.value(self._prometheus, LAG)))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await asyncio.sleep(seconds)
