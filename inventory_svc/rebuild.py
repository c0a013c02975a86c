"""
Rebuilds the stock from what is durable, as a whole or not at all.

What came in is in the ledger (Kafka topic `stock_ledger`), what orders own is in
the orders' PostgreSQL. With the rebuild's lock

1. the ledger is read to its end, and products and receipts are written to Redis
   beside the present stock; nothing has changed yet if that fails,
2. orders start a new generation and tell what they own at exactly that point: no
   order can be confirmed any more on a hold of an older one,
3. what they own is entered, and the new stock counts, in one step.

Holds whose orders were not confirmed are forgotten: those orders hold again, in
the new generation. Nothing that comes in is added to the present stock while the
lock is there, so that what the ledger was not read for is added to the new one.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog
import tenacity
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from inventory_svc.account import Account
from inventory_svc.generation import Position
from inventory_svc.ports import History, Orders, Started
from inventory_svc.scripts import REBUILD_LOCK, Scripts
from inventory_svc.staging import Staging
from runtime import errors

LOCK_S = 10.0
"""After so long another replica takes over from one that died while it rebuilt."""
ACTIVATE_S = 5.0
"""For the last step, which is tried again: the orders wait for it."""
log = structlog.get_logger()


class Rebuild:
    """Builds stocks; one replica at a time has the lock."""

    def __init__(self, redis: Redis, scripts: Scripts, history: History, orders: Orders) -> None:
        self._redis = redis
        self._scripts = scripts
        self._history = history
        self._orders = orders

    def lock(self) -> Lock:
        """
        Return the lock, not acquired.
        """
        return self._redis.lock(REBUILD_LOCK, timeout=LOCK_S, blocking=False)

    async def run(self, lock: Lock, *, above: int) -> Position:
        """
        Rebuild with *lock*, in a generation greater than *above*; returns where its history begins.

        Raises `Unavailable` if something could not be asked, `Aborted` if the lock was lost.
        """
        renewing = asyncio.create_task(_renew(lock))
        staging = Staging(self._redis, self._scripts)
        try:
            await self._sweep(staging, lock)
            account = Account.of(await self._history.read())
            await staging.write(account)
            started = await self._orders.start_generation(above=above)
            await self._activate(staging, account, started, lock)
            await self._sweep(staging, lock)
        except BaseException:
            with contextlib.suppress(errors.Error):
                await asyncio.shield(staging.remove())
            raise
        finally:
            renewing.cancel()
        _report(account, started)
        return Position(started.generation)

    async def _activate(self, staging: Staging, account: Account, started: Started, lock: Lock) -> None:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(errors.Unavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1),
            stop=tenacity.stop_after_delay(ACTIVATE_S),
            reraise=True,
        )
        if not await retrying(staging.activate, account, started, _token(lock)):
            raise errors.Aborted("another replica took over the rebuild")

    async def _sweep(self, staging: Staging, lock: Lock) -> None:
        """
        Remove what earlier tries and generations have left; the next one does it if Redis does not answer.
        """
        try:
            removed = await staging.sweep(_token(lock))
        except errors.Unavailable as error:
            log.warning("old_stock_left", error=error.message)
            return
        if removed:
            log.info("old_stock_removed", keys=removed)


def _report(account: Account, started: Started) -> None:
    short = {
        name: short for name in account.listings if (short := account.stock(name, started.owned.get(name, 0)).short)
    }
    if short:
        log.error("stock_short", short=short)
    if unlisted := account.unlisted(started.owned):
        log.error("products_not_listed", products=sorted(unlisted)[:20])
    log.info(
        "stock_rebuilt",
        generation=started.generation,
        products=len(account.listings),
        receipts=len(account.receipts),
        owned=sum(started.owned.values()),
    )


def _token(lock: Lock) -> str:
    token = lock.local.token
    return token.decode() if isinstance(token, bytes) else str(token)


async def _renew(lock: Lock) -> None:
    """
    Keep the lock while the rebuild lasts; if it is lost, the last step finds out.
    """
    while True:
        await asyncio.sleep(LOCK_S / 4)
        try:
            await lock.reacquire()
        except LockError:
            return
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("rebuild_lock_not_renewed", error=repr(error))
