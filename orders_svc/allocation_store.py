"""The units that orders own, for rebuilds of the stock; and the fence that makes them exact. In PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import asyncpg

from orders_svc import sql
from orders_svc.ports import Started
from orders_svc.session import connection


class AllocationStore:
    """Reads the units that orders own, and starts stock generations."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def start_generation(self, *, above: int = 0) -> Started:
        """
        Start a generation greater than *above* and all before.

        It waits for the confirmations and cancellations in flight: whatever changes the owned units is in the sums or
        sees the new generation, never both. The lock's queue is fair, so it does not starve.
        """
        async with connection(self._pool) as session, session.transaction():
            await session.execute(sql.LOCK_FENCE)
            generation = await session.fetchval(sql.START_GENERATION, above)
            return Started(generation, {row["product"]: row["units"] for row in await session.fetch(sql.SOLD)})

    async def generation(self) -> int:
        """
        Return the generation whose holds are accepted.
        """
        async with connection(self._pool) as session:
            return int(await session.fetchval(sql.GENERATION))

    async def owners(self, order_ids: Sequence[uuid.UUID], *, generation: int = 0) -> list[uuid.UUID]:
        """
        Return which of the orders are confirmed or fulfilled, on a hold of *generation* or a later one.

        It waits for the confirmations in flight; later ones check their hold's lease.
        """
        async with connection(self._pool) as session, session.transaction():
            await session.execute(sql.LOCK_FENCE)
            return [row["order_id"] for row in await session.fetch(sql.OWNERS, order_ids, generation)]
