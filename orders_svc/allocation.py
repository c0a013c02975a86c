"""What orders have taken from the stock, for inventory to rebuild from; and the fence that makes it complete."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence

import asyncpg

from orders_svc.order import Line
from orders_svc.rows import lines_of
from orders_svc.sql import FENCE
from orders_svc.store import connection

PAGE = 500
# A million orders take their time to stream; a snapshot that is older than this is given up.
LONGEST_S = 600
LOCK_FENCE = f"SELECT pg_advisory_xact_lock({FENCE})"
RAISE_GENERATION = """
UPDATE stock_generation SET generation = generation + 1, request_id = $1 WHERE request_id <> $1
"""
GENERATION = "SELECT generation FROM stock_generation"
CONFIRMED = "SELECT order_id, lines FROM orders WHERE state = 'CONFIRMED'"
FULFILLED = "SELECT product, sum(units)::bigint AS units FROM fulfilled_units GROUP BY product ORDER BY product"
OWNERS = """
SELECT order_id FROM orders
WHERE order_id = ANY($1::uuid[]) AND state IN ('CONFIRMED', 'FULFILLED') AND generation >= $2
"""

Allocation = tuple[uuid.UUID, tuple[Line, ...]]


class Allocations:
    """Reads what is allocated, and starts stock generations."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def start_generation(self, request_id: str) -> int:
        """
        Return the generation that counts from now on; a repeat of the last request starts none.

        It waits for the confirmations in flight: afterwards none can be stored
        whose hold is older. The lock's queue is fair, so it does not starve.
        """
        async with connection(self._pool) as session, session.transaction():
            await session.execute(LOCK_FENCE)
            await session.execute(RAISE_GENERATION, request_id)
            return int(await session.fetchval(GENERATION))

    async def owners(self, order_ids: Sequence[uuid.UUID], *, generation: int = 0) -> list[uuid.UUID]:
        """
        Return which of the orders are confirmed or fulfilled, on a hold of *generation* or a later one.

        It waits for the confirmations in flight; later ones look at their hold's lease.
        """
        async with connection(self._pool) as session, session.transaction():
            await session.execute(LOCK_FENCE)
            return [row["order_id"] for row in await session.fetch(OWNERS, order_ids, generation)]

    async def stream(self) -> AsyncIterator[tuple[Sequence[Allocation], Sequence[tuple[str, int]] | None]]:
        """
        Yield pages of confirmed orders, then one with the units that fulfilled orders took, by product.

        All are of one snapshot: no order is in both or in neither.
        """
        async with connection(self._pool) as session, session.transaction(isolation="repeatable_read", readonly=True):
            page: list[Allocation] = []
            async for row in session.cursor(CONFIRMED, prefetch=PAGE, timeout=LONGEST_S):
                page.append((row["order_id"], lines_of(row["lines"])))
                if len(page) == PAGE:
                    yield page, None
                    page = []
            units = [(row["product"], row["units"]) for row in await session.fetch(FULFILLED)]
            yield page, units
