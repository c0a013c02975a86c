"""Bounded use of sessions of the orders' database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog

from runtime import database
from runtime.database import NOT_NOW
from runtime.errors import Unavailable

ACQUIRE_TIMEOUT_S = 2.0
# Below the pool's limit of a statement, at which asyncpg would cancel it (see `database.ended_after`).
USE_LIMIT_S = 4.5
log = structlog.get_logger()


@asynccontextmanager
async def connection(pool: asyncpg.Pool, *, limit_s: float | None = USE_LIMIT_S) -> AsyncIterator[Any]:
    """
    Yield a connection for at most *limit_s*; errors of an unavailable database become `Unavailable`.
    """
    try:
        async with database.acquired(pool, wait_s=ACQUIRE_TIMEOUT_S) as acquired:
            with database.ended_after(acquired, limit_s):
                yield acquired
    except NOT_NOW as error:
        log.warning("database_unavailable", error=str(error) or type(error).__name__)
        raise Unavailable(
            "the orders' database does not answer", reason="DATABASE_UNAVAILABLE", retry_after_s=1
        ) from error
