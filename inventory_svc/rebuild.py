"""
Watches over Redis's data, and rebuilds the stock when it is lost.

What is durable lives elsewhere: what came in is in the ledger (Kafka topic
`stock_ledger`), what orders own is in the orders' PostgreSQL. Redis holds a
marker, its generation and the sequence of its last event. The data is lost if
the marker is missing or behind what is known: what this replica saw, the ledger's
last rebuild, or the last published stock event. Then

1. the replica says NOT_SERVING, and one of them takes the lock,
2. orders start a new generation: no order can be confirmed any more on a hold of
   an older one, so what orders own now is all that counts,
3. the new generation is written beside the old one, from the ledger and the
   orders' allocations, and starts to count in one step, if the lock is still held.

Holds whose orders were not confirmed are forgotten: those orders hold again, in
the new generation. A first start with an empty Redis is a rebuild as any other.
While orders or Kafka can't be asked, the rebuild is tried again under backoff and
nothing is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable

import structlog
import tenacity
from prometheus_client import Counter, Gauge
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from inventory_svc import translate
from inventory_svc.account import Account
from inventory_svc.ledger import Ledger
from inventory_svc.orders import Orders
from inventory_svc.scripts import MARKER, REBUILD_LOCK, Position, Scripts, unavailable
from inventory_svc.staging import Staging, sweep
from runtime import errors

LOCK_S = 20.0
"""After so long another replica takes over from one that died while it rebuilt."""
GENERATION = Gauge("inventory_generation", "The stock generation that this replica works on; 0 for none.")
REBUILDS = Counter("inventory_rebuilds", "Rebuilds of the stock.", ["outcome"])
log = structlog.get_logger()


class Guardian:
    """Says which generation may be worked on, and sees to it that there is one."""

    def __init__(
        self,
        scripts: Scripts,
        ledger: Ledger,
        orders: Orders,
        *,
        on_ready: Callable[[bool], Awaitable[None]],
        every_s: float,
    ) -> None:
        self._scripts = scripts
        self._ledger = ledger
        self._orders = orders
        self._on_ready = on_ready
        self._every_s = every_s
        self._known = Position(0)
        self._checked_run: str | None = None

    async def run(self) -> None:
        """
        Look at Redis regularly, and at once when a script was refused; for ever.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((errors.Error, RedisError, OSError, TimeoutError)),
            wait=tenacity.wait_random_exponential(multiplier=self._every_s, max=10),
            sleep=self._wait,
            before_sleep=_log_wait,
        )
        while True:
            await retrying(self.look)
            await self._wait(self._every_s)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._scripts.lost.wait()
        self._scripts.lost.clear()

    async def look(self) -> None:
        """
        Serve if Redis has what it should have; rebuild if not.
        """
        # Known before Redis is read, since its sequence grows meanwhile.
        known = max(self._known, self._scripts.position or self._known)
        found, run = await self._read_marker()
        if run != self._checked_run:
            known = max(known, await self._ask_history(run))
        self._known = known
        if found is not None and found >= known:
            await self._serve(found)
        else:
            await self._rebuild(found)

    async def _read_marker(self) -> tuple[Position | None, str]:
        try:
            fields = await self._scripts.redis.hmget(MARKER, ["generation", "sequence"])
            run = (await self._scripts.redis.info("server"))["run_id"]
        except (RedisError, OSError, TimeoutError) as error:
            # Redis is down, for every replica: say so in the answers, not by leaving the mesh.
            if self._scripts.position is None:
                self._scripts.adopt(None, because=unavailable(error))
                await self._on_ready(True)
            raise unavailable(error) from error
        if fields[0] is None:
            return None, run
        return Position(int(fields[0]), int(fields[1] or 0)), run

    async def _ask_history(self, run: str) -> Position:
        """
        Return how far the stock's history got by what Kafka tells, once for each start of Redis.

        Kafka being down does not keep a replica from serving: it asks again at the next look.
        """
        try:
            position = await self._ledger.last_position()
        except errors.Unavailable as error:
            log.warning("Redis's data is served without a look at its history", error=error.message)
            return Position(0)
        self._checked_run = run
        return position

    async def _serve(self, found: Position) -> None:
        present = self._scripts.position
        if present is None or present.generation != found.generation:
            self._scripts.adopt(found)
            GENERATION.set(found.generation)
            log.info("the stock is there", generation=found.generation)
            await self._on_ready(True)

    async def _rebuild(self, found: Position | None) -> None:
        self._scripts.adopt(None)
        GENERATION.set(0)
        await self._on_ready(False)
        lock = self._scripts.redis.lock(REBUILD_LOCK, timeout=LOCK_S, blocking=False)
        if not await lock.acquire():
            log.info("another replica rebuilds the stock")
            return
        lost = found is not None or self._known.generation > 0
        log.warning("the stock's data was lost" if lost else "there is no stock yet", found=found, known=self._known)
        try:
            await self._rebuild_leading(lock)
        except BaseException:
            REBUILDS.labels("failed").inc()
            raise
        finally:
            with contextlib.suppress(LockError, RedisError, OSError):
                await lock.release()

    async def _rebuild_leading(self, lock: Lock) -> None:
        renewing = asyncio.create_task(_renew(lock))
        try:
            generation = await self._orders.start_generation(str(uuid.uuid4()))
            if generation <= self._known.generation:
                raise errors.Unavailable(f"orders are at generation {generation}, behind {self._known.generation}")
            await self._ledger.record_rebuild(generation)
            started = await self._build(generation, lock)
        finally:
            renewing.cancel()
        if not started:
            raise errors.Aborted("another replica took over the rebuild")
        REBUILDS.labels("done").inc()
        self._known = Position(generation)
        await self._serve(self._known)
        log.info("old generations are removed", keys=await sweep(self._scripts.redis, keep=generation))

    async def _build(self, generation: int, lock: Lock) -> bool:
        staging = Staging(self._scripts.redis, generation)
        account = Account()
        await self._read_ledger(account)
        async for page in self._orders.allocations():
            await staging.add_sales(account.priced(sale) for sale in page.confirmed)
            for sale in page.confirmed:
                account.take(sale.lines)
            account.take(page.fulfilled)
        _report(account)
        await staging.add_account(account)
        return await staging.start(self._scripts, _token(lock))

    async def _read_ledger(self, account: Account) -> None:
        for entry in await self._ledger.read():
            if entry.HasField("listing"):
                account.list_product(translate.listing(entry.listing), entry.occur_time.ToMilliseconds())
            elif entry.HasField("receipt"):
                account.receive(translate.receipt(entry.receipt))


def _log_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("the stock is not there", attempt=state.attempt_number, error=str(error))


def _report(account: Account) -> None:
    short = {each: account.stock(each).short for each in account.listings if account.stock(each).short}
    if short:
        log.error("orders own more than came in", short=short)
    if strangers := account.strangers():
        log.error("products came in or were sold that are not listed", products=sorted(strangers)[:20])
    log.info("the stock is worked out", products=len(account.listings), receipts=len(account.receipts))


def _token(lock: Lock) -> str:
    token = lock.local.token
    return token.decode() if isinstance(token, bytes) else str(token)


async def _renew(lock: Lock) -> None:
    """
    Keep the lock while the rebuild lasts; if it is lost, the last step finds out.
    """
    with contextlib.suppress(LockError, RedisError, OSError):
        while True:
            await asyncio.sleep(LOCK_S / 4)
            await lock.reacquire()
