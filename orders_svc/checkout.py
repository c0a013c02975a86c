"""The use cases: place, cancel and fulfil an order."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter

from orders_svc.answers import in_progress, key_reused, replay, taken_by
from orders_svc.order import HOLD_LAPSED, Change, Draft, Hold, Order, State, fingerprint, require_etag
from orders_svc.ports import (
    REFUSALS,
    Answer,
    Fenced,
    Inventory,
    KeyTaken,
    Orders,
    Placement,
    Request,
    Stale,
    Unstorable,
)
from orders_svc.refusals import IllegalTransition, OrderBusy, OrderChanged, not_found
from runtime.caller import Caller
from runtime.clock import now
from runtime.deadline import remaining_s
from runtime.errors import Error, Unavailable
from runtime.refusals import IdempotencyKeyReused, OperatorOnly

PLACED = Counter("orders_placed", "Orders that were stored, by state.", ["state"])
# The share of a call's time that a hold may take; the rest is for the commit.
HOLD_SHARE = 0.6
# Reserved for the response, so that the caller gets more than a deadline error.
RETURN_S = 0.1
# The caller does not wait for the release of a hold; if it fails, the lease expires.
RELEASE_S = 2.0
# Calls without a deadline get one from the server; this is for work outside of a call.
DEFAULT_S = 10.0
# Each lost race means that another call has changed the order, which is possible only three times.
MAX_RACES = 5
Result = TypeVar("Result")
log = structlog.get_logger()


class Checkout:
    """
    Places, cancels and fulfils orders.

    *hold_timeout_s* is the most that an order waits for its hold.
    """

    def __init__(
        self, orders: Orders, inventory: Inventory, *, hold_timeout_s: float, clock: Callable[[], datetime] = now
    ) -> None:
        self._orders = orders
        self._inventory = inventory
        self._hold_timeout_s = hold_timeout_s
        self._clock = clock
        self._running: set[asyncio.Task[Any]] = set()

    async def place(self, draft: Draft) -> Answer:
        """
        Place an order, or replay the stored response of the same request.
        """
        request = Request.of(draft)
        async with in_time():
            if stored := await self._orders.find_answer(request):
                return replay(stored, request)
            return await self._to_the_end(self._place(draft, request))

    async def _place(self, draft: Draft, request: Request) -> Answer:
        try:
            hold = await self._try_to_hold(draft)
        except REFUSALS as refused:
            # A concurrent call with the same key may have succeeded: its response is the key's.
            if stored := await self._orders.find_answer(request):
                return replay(stored, request)
            if isinstance(refused, IdempotencyKeyReused):
                raise key_reused(request) from refused
            raise
        order = await self._new_order(draft, hold)
        try:
            order, answer = await self._store(draft, Placement(order, request, hold.expire_time if hold else None))
        except KeyTaken as taken:
            # If a call of another kind used the key, there is no order that the hold could be for.
            if taken.stored.fingerprint != request.fingerprint and await self._orders.get(order.id) is None:
                await self._release(draft, hold)
            return replay(taken.stored, request)
        except Unstorable:
            await self._release(draft, hold)
            raise
        PLACED.labels(order.state).inc()
        return answer

    async def _new_order(self, draft: Draft, hold: Hold | None) -> Order:
        """
        Return the new order: confirmed on *hold*, or pending without one.
        """
        if hold is None:
            return Order.pending(draft, self._clock())
        try:
            return Order.confirmed(draft, hold, self._clock())
        except Exception:
            await self._release(draft, hold)
            raise

    async def _store(self, draft: Draft, placement: Placement) -> tuple[Order, Answer]:
        try:
            return placement.order, await self._orders.place(placement)
        except Fenced:
            order = Order.pending(draft, self._clock(), HOLD_LAPSED)
        try:
            return order, await self._orders.place(Placement(order, placement.request))
        except Fenced as error:
            raise in_progress(placement.request) from error

    async def _release(self, draft: Draft, hold: Hold | None) -> None:
        """
        Release the hold of an order that will not be stored.
        """
        if hold is None:
            return
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._inventory.release(draft.order_id)
        except (Error, TimeoutError) as error:
            log.warning("hold_not_released", order=draft.name, error=str(error) or "timeout")

    async def _try_to_hold(self, draft: Draft) -> Hold | None:
        """
        Return the order's hold, or None if inventory is unavailable.
        """
        share = min(self._hold_timeout_s, HOLD_SHARE * remaining_s(DEFAULT_S))
        try:
            async with asyncio.timeout(share):
                return await self._inventory.hold(draft.order_id, draft.lines)
        except REFUSALS:
            raise
        except (Error, TimeoutError) as error:
            log.info("order_pending", order=draft.name, error=str(error) or "timeout")
            return None

    async def cancel(self, caller: Caller, order_id: uuid.UUID, *, request_id: str = "", etag: str = "") -> Answer:
        """
        Cancel an order; its units are released through its event.
        """
        request = self._request(caller, "CancelOrder", order_id, request_id, etag)
        return await self._change(caller, order_id, request, etag, self._cancelled)

    async def _cancelled(self, order: Order) -> Order:
        generation = await self._orders.generation() if order.state is State.CONFIRMED else 0
        return order.cancel(self._clock(), generation)

    async def fulfil(self, caller: Caller, order_id: uuid.UUID, *, request_id: str = "", etag: str = "") -> Answer:
        """
        Mark an order as fulfilled; only operators may.
        """
        if not caller.operator:
            raise OperatorOnly("only operators fulfil orders")
        request = self._request(caller, "FulfilOrder", order_id, request_id, etag)
        return await self._change(caller, order_id, request, etag, self._fulfilled)

    async def _fulfilled(self, order: Order) -> Order:
        return order.fulfil(self._clock())

    async def get(self, caller: Caller, order_id: uuid.UUID) -> Order:
        """
        Return one of the caller's orders.
        """
        order = await self._orders.get(order_id)
        if order is None or not (caller.operator or order.customer == caller.customer):
            raise not_found(f"orders/{order_id}")
        return order

    @staticmethod
    def _request(caller: Caller, method: str, order_id: uuid.UUID, request_id: str, etag: str) -> Request | None:
        if not request_id:
            return None
        return Request(caller.customer, request_id, fingerprint(method, str(order_id), etag))

    async def _change(
        self,
        caller: Caller,
        order_id: uuid.UUID,
        request: Request | None,
        etag: str,
        move: Callable[[Order], Awaitable[Order]],
    ) -> Answer:
        async with in_time():
            if stored := await self._stored_answer(request):
                return stored
            for _ in range(MAX_RACES):
                order = await self.get(caller, order_id)
                try:
                    require_etag(order, etag)
                    return await self._to_the_end(self._orders.save(Change(order, await move(order)), request))
                except (IllegalTransition, OrderChanged):
                    # A concurrent retry may be what changed it.
                    if stored := await self._stored_answer(request):
                        return stored
                    raise
                except Stale:
                    continue
                except KeyTaken as taken:
                    return replay(taken.stored, taken_by(request))
            raise OrderBusy(
                f"orders/{order_id} keeps changing", metadata={"order": f"orders/{order_id}"}, retry_after_s=1
            )

    async def _stored_answer(self, request: Request | None) -> Answer | None:
        stored = await self._orders.find_answer(request) if request else None
        return replay(stored, taken_by(request)) if stored else None

    async def _to_the_end(self, work: Coroutine[Any, Any, Result]) -> Result:
        """
        Return what *work* returns; it continues if the caller disconnects, so that nothing stays half done.
        """
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Error | Stale | KeyTaken):
            log.error("abandoned_call_failed", error=repr(error))

    async def finish(self) -> None:
        """
        Wait for calls whose callers have disconnected, at the end of the process.
        """
        if self._running:
            await asyncio.wait(set(self._running))


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """
    Cancel the block shortly before the caller's deadline, as a retryable `Unavailable`.
    """
    left = remaining_s(DEFAULT_S)
    try:
        async with asyncio.timeout(left - min(RETURN_S, left / 4)):
            yield
    except TimeoutError as error:
        raise Unavailable(
            "it could not be stored in time; repeat with the same request id",
            reason="DATABASE_UNAVAILABLE",
            retry_after_s=1,
        ) from error
