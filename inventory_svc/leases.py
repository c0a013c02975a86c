"""
Ends the leases of holds that were never committed.

A hold's order may be confirmed while its event is still on the way here, for example while Kafka is down. So the
orders are asked first: what an order owns is committed, the rest is released. The answer can't become wrong
afterwards, because orders confirm on a hold only before its lease ends, and a lease lasts here for `lease_grace_s`
longer than the hold's `expire_time`. While orders can't be asked, a hold stays: stock that cannot be bought for a
while is better than stock sold twice.

Every replica does this; a claim keeps two from asking about the same holds.
"""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Counter

from inventory_svc.generation import CurrentGeneration
from inventory_svc.ports import Leased, Orders
from inventory_svc.stock import Sale
from runtime import errors

CLAIM_MS = 15_000
"""Longer than one round takes; after it, another replica takes over."""
EXPIRED = Counter("inventory_expired_leases", "Holds whose lease ended, by outcome.", ["outcome"])
log = structlog.get_logger()


class Leases:
    """Releases holds whose leases have expired."""

    def __init__(self, stock: Leased, orders: Orders, current: CurrentGeneration, *, every_s: float) -> None:
        self._stock = stock
        self._current = current
        self._orders = orders
        self._every_s = every_s

    async def run(self) -> None:
        """
        End leases until cancelled.
        """
        while True:
            try:
                done = await self.end_due()
            except errors.Error as error:
                log.warning("expired_holds_kept", error=error.message, reason=error.reason)
                done = 0
            # A full round means that more are waiting.
            await asyncio.sleep(self._every_s if done == 0 else 0)

    async def end_due(self) -> int:
        """
        End some of the expired leases; return how many were examined.
        """
        if self._current.position is None:
            return 0
        generation = self._current.number
        due = await self._stock.claim_expired(claim_ms=CLAIM_MS)
        if not due:
            return 0
        owners = await self._ask(due, generation)
        await self._sell([Sale(order, (), generation) for order in due if order in owners])
        expired = await self._stock.expire([order for order in due if order not in owners])
        EXPIRED.labels("given back").inc(expired)
        return len(due)

    async def _ask(self, due: list[str], generation: int) -> set[str]:
        try:
            return await self._orders.owners(due, generation=generation)
        except errors.Error:
            EXPIRED.labels("kept, orders not reached").inc(len(due))
            raise

    async def _sell(self, sales: list[Sale]) -> None:
        if sales:
            await self._stock.commit(sales)
            EXPIRED.labels("sold, its event is late").inc(len(sales))
            log.warning("committed_before_event", count=len(sales))
