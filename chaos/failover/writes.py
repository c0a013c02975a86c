"""Commits to PostgreSQL, one after the other, to see when it takes writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import asyncpg

from runtime.database import NOT_NOW

PAUSE_S = 0.05
# A member that is gone without a word must not hold up the next try.
TRY_S = 1.0
# It writes WAL and no row, and its commit waits for the second copy as any other.
WRITE = "SELECT pg_logical_emit_message(true, 'failover', '')"
FAILURES = (*NOT_NOW, asyncpg.PostgresError)


class Writes:
    """The moments of successful commits, by *clock*, in one session that is opened anew after a failure."""

    def __init__(self, database_url: str, *, clock: Callable[[], float]) -> None:
        self._database_url = database_url
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self.moments: list[float] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write during the block."""
        task = asyncio.create_task(self._write())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._drop()

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TRY_S):
                    if self._connection is None:
                        self._connection = await asyncpg.connect(self._database_url, timeout=TRY_S)
                    await self._connection.execute(WRITE)
                self.moments.append(self._clock())
            except FAILURES:
                self._drop()
            await asyncio.sleep(PAUSE_S)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
