"""
Monitors Redis's data, and rebuilds the stock when it is lost or no longer accepted.

Redis holds a marker: its generation and the sequence of its last event. The data is lost if the marker is missing or
behind what is known: what this replica saw, or the last published stock event. The known position is read before the
marker, which grows meanwhile: only then must the marker be there or further.

The orders know which generation they accept holds of. If that is not Redis's, its holds are worthless: nothing is held
until the stock is rebuilt, while products can still be read. A first start with an empty Redis is a rebuild like any
other.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable

import structlog
import tenacity
from prometheus_client import Counter, Gauge

from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.ports import History, Orders, RebuildLock, StockData
from inventory_svc.rebuild import Rebuild
from inventory_svc.verdict import Found, Verdict, judge
from runtime import errors

ASK_S = 3.0
"""How often the orders are asked for their generation without a sign of a change."""
AT_ONCE = -math.inf
MAX_WAIT_S = 10.0
"""Between two tries after a failure."""
GENERATION = Gauge("inventory_generation", "The stock generation that this replica works on; 0 for none.")
ACCEPTED = Gauge("inventory_stock_accepted", "Whether orders accept holds of the stock that is served: 1 or 0.")
REBUILDS = Counter("inventory_rebuilds", "Rebuilds of the stock.", ["outcome"])
for _outcome in ("done", "failed"):
    REBUILDS.labels(_outcome)
log = structlog.get_logger()


class StockRecovery:
    """Determines which generation may be used, and starts a rebuild if there is none."""

    def __init__(
        self,
        data: StockData,
        current: CurrentGeneration,
        rebuild: Rebuild,
        history: History,
        orders: Orders,
        *,
        on_ready: Callable[[bool], Awaitable[None]],
        every_s: float,
        ask_s: float = ASK_S,
    ) -> None:
        self._data = data
        self._current = current
        self._rebuild = rebuild
        self._history = history
        self._orders = orders
        self._on_ready = on_ready
        self._every_s = every_s
        self._ask_s = ask_s
        self._known = Position(0)
        self._checked_run: str | None = None
        self._accepted: int | None = None
        self._ask_at = AT_ONCE

    async def run(self) -> None:
        """
        Check Redis periodically, and at once when something is in doubt, until cancelled.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(errors.Error),
            wait=tenacity.wait_random_exponential(multiplier=self._every_s, max=MAX_WAIT_S),
            sleep=self._wait,
            before_sleep=_log_wait,
        )
        while True:
            await retrying(self.look)
            await self._wait(self._every_s)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._current.doubted.wait()
                self._ask_at = AT_ONCE
        self._current.doubted.clear()

    async def look(self) -> None:
        """
        Serve if Redis is up to date; rebuild if not.
        """
        verdict = await self._judge()
        if verdict.reason is None:
            await self._serve(verdict.found)
        else:
            await self._mend(verdict)

    async def _judge(self) -> Verdict:
        """
        Read the known position, then the accepted generation, then Redis; and compare.
        """
        while True:
            run = (await self._find()).run
            known = await self._read_known(run)
            accepted = await self._ask_orders()
            found = await self._find()
            # A Redis that was restarted meanwhile may have other data than its history was read for.
            if found.run == run:
                break
        self._known = known
        if accepted is not None and found.position is not None and accepted < found.position.generation:
            # It may have begun after the orders were asked.
            accepted = await self._ask_orders_now()
        return judge(found, known=known, accepted=accepted, retired=self._current.retired)

    async def _read_known(self, run: str) -> Position:
        """
        Return the known position of the history: as this replica saw it and, for each start of Redis, as Kafka has it.

        Kafka being down does not keep a replica from serving: it asks again at the next check.
        """
        known = max(self._known, self._current.position or self._known)
        if run == self._checked_run:
            return known
        try:
            known = max(known, await self._history.last_position())
            self._checked_run = run
        except errors.Unavailable as error:
            log.warning("stock_history_unread", error=error.message)
        return known

    async def _find(self) -> Found:
        try:
            return await self._data.find()
        except errors.Unavailable as error:
            # Redis is down, for every replica: report it in responses instead of leaving the mesh.
            if self._current.position is None:
                self._current.withdraw(error)
                await self._on_ready(True)
            raise

    async def _ask_orders(self) -> int | None:
        """
        Return the generation that the orders accept, cached for a few seconds if nothing was in doubt.
        """
        if time.monotonic() < self._ask_at:
            return self._accepted
        return await self._ask_orders_now() or self._accepted

    async def _ask_orders_now(self) -> int | None:
        """
        Return the generation that the orders accept, None if they can't be asked.
        """
        try:
            accepted = await self._orders.generation()
        except errors.Unavailable as error:
            log.warning("accepted_generation_unknown", error=error.message)
            return None
        self._accepted, self._ask_at = accepted, time.monotonic() + self._ask_s
        return accepted

    async def _serve(self, found: Found) -> None:
        present, position = self._current.position, found.position
        if position is None:
            return
        changed = present is None or present.generation != position.generation or not self._current.accepted
        if changed:
            self._current.adopt(position)
            log.info("stock_served", generation=position.generation)
        GENERATION.set(position.generation)
        ACCEPTED.set(1)
        if changed:
            await self._on_ready(True)

    async def _mend(self, verdict: Verdict) -> None:
        """
        Serve what may be served meanwhile, and rebuild unless another replica does.
        """
        await self._step_back(verdict)
        lock = self._data.rebuild_lock()
        if not await lock.acquire():
            log.info("rebuilt_by_another_replica", reason=verdict.reason)
            return
        try:
            # Another replica may have been faster, and have released the lock.
            verdict = await self._judge_again()
            if verdict.reason is None:
                await self._serve(verdict.found)
                return
            log.warning("rebuild_started", reason=verdict.reason, found=verdict.found.position, known=self._known)
            await self._lead(lock, verdict)
        finally:
            await lock.release()

    async def _judge_again(self) -> Verdict:
        self._ask_at = AT_ONCE
        return await self._judge()

    async def _step_back(self, verdict: Verdict) -> None:
        if not verdict.usable or verdict.found.position is None:
            self._current.withdraw()
            GENERATION.set(0)
            ACCEPTED.set(0)
            await self._on_ready(False)
            return
        if self._current.position is None:
            await self._on_ready(True)
        retired = verdict.reason == "retired"
        self._current.adopt(verdict.found.position, accepted=retired)
        GENERATION.set(verdict.found.position.generation)
        ACCEPTED.set(int(retired))

    async def _lead(self, lock: RebuildLock, verdict: Verdict) -> None:
        began = time.monotonic()
        try:
            position = await self._rebuild.run(lock, above=verdict.above)
        except errors.Error as error:
            REBUILDS.labels("failed").inc()
            log.error("rebuild_failed", reason=verdict.reason, cause=error.reason, error=error.message)
            await self._leave_if_unaccepted()
            raise
        REBUILDS.labels("done").inc()
        self._known = position
        self._accepted = position.generation
        log.info("rebuild_done", generation=position.generation, seconds=round(time.monotonic() - began, 3))
        await self._serve(Found(position, position.generation))

    async def _leave_if_unaccepted(self) -> None:
        """
        Leave the mesh if nothing can be held: the fence moved and there is no new stock yet, or none at all.
        """
        accepted = await self._ask_orders_now()
        present = self._current.position
        if present is None or (accepted is not None and accepted != present.generation):
            self._current.fence()
            ACCEPTED.set(0)
            await self._on_ready(False)


def _log_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("stock_recovery_waits", attempt=state.attempt_number, error=str(error))
