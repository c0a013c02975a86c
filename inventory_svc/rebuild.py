"""
Rebuilds the stock from what is durable, as a whole or not at all.

What came in is in the ledger (Kafka topic `stock_ledger`), what orders own is in
the orders' PostgreSQL. With the rebuild's lock

1. the ledger is read to its end, and products and receipts are written to Redis
   beside the present stock; nothing has changed yet if that fails,
2. orders start a new generation and return what they own at exactly that point: no
   order can be confirmed any more on a hold of an older one,
3. what they own is entered, and the new stock counts, in one step.

Holds whose orders were not confirmed are forgotten: those orders hold again, in
the new generation. Nothing that comes in is added to the present stock while the
lock is there, so that what the ledger was not read for is added to the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog
import tenacity

from inventory_svc.generation import Position
from inventory_svc.ports import History, Orders, RebuildLock, StagedStock, Started
from inventory_svc.projection import StockProjection
from runtime import errors

RENEW_S = 2.5
"""A quarter of the lock's duration."""
ACTIVATE_S = 5.0
"""For the last step, which is retried: the orders wait for it."""
log = structlog.get_logger()


class Rebuild:
    """Builds stocks; one replica at a time has the lock."""

    def __init__(self, stage: Callable[[], StagedStock], history: History, orders: Orders) -> None:
        """*stage* returns a new, inactive stock."""
        self._stage = stage
        self._history = history
        self._orders = orders

    async def run(self, lock: RebuildLock, *, above: int) -> Position:
        """
        Rebuild with *lock*, in a generation greater than *above*; return where its history begins.

        Raises `Unavailable` if a store or service did not respond, `Aborted` if the lock was lost.
        """
        renewing = asyncio.create_task(_renew(lock))
        staging = self._stage()
        try:
            await self._sweep(staging, lock)
            projection = StockProjection.of(await self._history.read())
            await staging.write(projection)
            started = await self._orders.start_generation(above=above)
            await self._activate(staging, projection, started, lock)
            await self._sweep(staging, lock)
        except BaseException:
            with contextlib.suppress(errors.Error):
                await asyncio.shield(staging.remove())
            raise
        finally:
            renewing.cancel()
        _report(projection, started)
        return Position(started.generation)

    async def _activate(
        self, staging: StagedStock, projection: StockProjection, started: Started, lock: RebuildLock
    ) -> None:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(errors.Unavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1),
            stop=tenacity.stop_after_delay(ACTIVATE_S),
            reraise=True,
        )
        if not await retrying(staging.activate, projection, started, lock.token):
            raise errors.Aborted("another replica took over the rebuild")

    async def _sweep(self, staging: StagedStock, lock: RebuildLock) -> None:
        """
        Remove what earlier tries and generations have left; the next rebuild does it if Redis does not respond.
        """
        try:
            removed = await staging.sweep(lock.token)
        except errors.Unavailable as error:
            log.warning("old_stock_left", error=error.message)
            return
        if removed:
            log.info("old_stock_removed", keys=removed)


def _report(projection: StockProjection, started: Started) -> None:
    short = {
        name: short
        for name in projection.listings
        if (short := projection.stock(name, started.owned.get(name, 0)).short)
    }
    if short:
        log.error("stock_short", short=short)
    if unlisted := projection.unlisted(started.owned):
        log.error("products_not_listed", products=sorted(unlisted)[:20])
    log.info(
        "stock_rebuilt",
        generation=started.generation,
        products=len(projection.listings),
        receipts=len(projection.receipts),
        owned=sum(started.owned.values()),
    )


async def _renew(lock: RebuildLock) -> None:
    """
    Renew the lock while the rebuild lasts; if it is lost, the last step fails.
    """
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            if not await lock.renew():
                return
        except errors.Unavailable as error:
            log.warning("rebuild_lock_not_renewed", error=error.message)
