"""Notifications of changed orders by PostgreSQL's LISTEN: one connection per process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from orders_svc import sql
from runtime.database import NOT_NOW, listening, own_session
from runtime.errors import Unavailable


class ChangeFeed:
    """The port `Changes` on PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool, *, channel: str = sql.CHANGES) -> None:
        self._pool = pool
        self._channel = channel

    @asynccontextmanager
    async def listen(self, heard: Callable[[str], None]) -> AsyncIterator[Line]:
        """
        Call *heard* with the ids of changed orders, comma-separated, while inside; raises `Unavailable` when it ends.
        """
        try:
            async with own_session(self._pool) as connection, listening(connection, self._channel, heard):
                yield Line(connection)
        except (*NOT_NOW, asyncpg.PostgresError) as error:
            raise Unavailable(str(error) or type(error).__name__, reason="DATABASE_UNAVAILABLE") from error


class Line:
    """The listening connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def probe(self) -> None:
        """
        Check that notifications can still arrive; raise the error that ends `listen` if not.
        """
        await self._connection.fetchval(sql.PROBE)
