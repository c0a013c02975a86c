"""
The saga: brings pending orders to an end.

A message of `pending_orders` is tried at once, then after each delay of the retry topics, and ends in the dead-letter
topic. The order itself stays PENDING and visible meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
import tenacity
from prometheus_client import Counter, Histogram

from orders_svc import wire
from orders_svc.order import HOLD_LAPSED, Change, Hold, Order, State
from orders_svc.ports import REFUSALS, Fenced, Orders, Stale, WaitedFor
from orders_svc.topics import DEAD_ORDERS, PENDING_ORDERS
from runtime import spans
from runtime.clock import now
from runtime.errors import Aborted, Error, InvalidArgument, Unavailable
from runtime.messaging.message import Handler, Message
from runtime.messaging.wrappers import Wrapper
from runtime.refusals import IdempotencyKeyReused

ATTEMPTS = 5
MAX_RACES = 5
PROBE_S = 2.0
ENDED = Counter("orders_saga_ended", "Pending orders that the saga finished, by state.", ["state"])
SECONDS = Histogram(
    "orders_saga_seconds",
    "Seconds from an order's acceptance to the end of its waiting.",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 3600),
)
log = structlog.get_logger()


class Poison(InvalidArgument):
    """A message that can never be processed."""

    reason = "POISON_MESSAGE"


@dataclass(frozen=True)
class Stage:
    """A topic whose messages are tried *delay_s* after they were written."""

    topic: str
    delay_s: float


def stages(delays_s: Sequence[float]) -> list[Stage]:
    """
    Return the topics that a pending order passes: at once, then after each delay.
    """
    return [Stage(PENDING_ORDERS, 0), *(Stage(f"{PENDING_ORDERS}.retry.{delay:g}s", delay) for delay in delays_s)]


def group_of(stage: Stage) -> str:
    """
    Return the consumer group of *stage*: its own, so that a waiting one does not delay the rebalance of another.
    """
    return f"orders-saga{stage.topic.removeprefix(PENDING_ORDERS)}"


class Saga:
    """
    Finishes pending orders; *path* are the stages in their order.

    While inventory is unavailable an order stays on the last stage until it is *give_up_s* old, so that an outage does
    not leave one dead letter per order.
    """

    def __init__(
        self,
        orders: Orders,
        stock: WaitedFor,
        path: Sequence[Stage],
        *,
        give_up_s: float,
        clock: Callable[[], datetime] = now,
        wait: tenacity.wait.wait_base | None = None,
        probe_s: float = PROBE_S,
    ) -> None:
        self._orders = orders
        self._stock = stock
        self._path = list(path)
        self._give_up_s = give_up_s
        self._clock = clock
        self._wait = wait or tenacity.wait_exponential_jitter(multiplier=0.1, max=1.0, jitter=0.1)
        self._probe_s = probe_s

    async def handle(self, messages: Sequence[Message]) -> None:
        """
        Finish the order of each of *messages*; raise `Poison` if one is invalid.
        """
        for message in messages:
            await self.finish(parse(message))

    def delayed(self, stage: Stage) -> Wrapper:
        """
        Handle the messages of *stage* when they are due.
        """

        def wrap(handler: Handler) -> Handler:
            async def handle(messages: Sequence[Message]) -> None:
                await self._wait_until_due(messages, stage)
                await handler(messages)

            return handle

        return wrap

    def next_topic(self, stage: Stage, message: Message, error: Exception) -> str:
        """
        Return the topic after *stage* for *message*, depending on *error*.
        """
        if isinstance(error, Poison):
            return DEAD_ORDERS
        at = self._path.index(stage) + 1
        if at < len(self._path):
            return self._path[at].topic
        waits = isinstance(error, Unavailable) and self._age_s(message) < self._give_up_s
        return stage.topic if waits else DEAD_ORDERS

    def _age_s(self, message: Message) -> float:
        return (self._clock() - parse(message).update_time).total_seconds()

    async def _wait_until_due(self, messages: Sequence[Message], stage: Stage) -> None:
        """
        Wait for the delay of the newest message, but no longer than inventory is unavailable.
        """
        due = max(message.timestamp_ms for message in messages) / 1000 + stage.delay_s
        # At most the delay, in case of clock skew.
        end = time.monotonic() + min(due - time.time(), stage.delay_s)
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self._probe_s))
            if self._stock.answered_within(self._probe_s) or await self._inventory_is_back(messages):
                return

    async def _inventory_is_back(self, messages: Sequence[Message]) -> bool:
        """
        Try the hold of one pending order, which it needs anyway.
        """
        for message in messages:
            try:
                order = parse(message)
            except Poison:
                continue
            try:
                await self._stock.hold(order.id, order.lines)
            except REFUSALS:
                return True
            except Error:
                return False
            return True
        return True

    async def finish(self, waiting: Order) -> None:
        """
        Hold the order's stock and confirm it, or reject it if inventory refuses.

        An order that is no longer pending is unchanged. Raises `Unavailable` if it must be retried, `Poison` if there
        is no such order.
        """
        for _ in range(MAX_RACES):
            order = await self._orders.get(waiting.id)
            if order is None:
                raise Poison(f"{waiting.name} does not exist")
            if order.state is not State.PENDING:
                return
            moved, lease = await self._decide(order)
            try:
                await self._orders.save(Change(order, moved), lease=lease)
            except Stale:
                # Another writer changed it: its row decides, and its event releases the hold.
                continue
            except Fenced as error:
                raise Unavailable("the hold no longer counts", reason=HOLD_LAPSED) from error
            ENDED.labels(moved.state).inc()
            waited_s = (moved.update_time - order.create_time).total_seconds()
            SECONDS.observe(max(0.0, waited_s), spans.exemplar())
            log.info("pending_order_ended", order=order.name, state=moved.state, reason=moved.state_reason)
            return
        raise Aborted(f"{waiting.name} keeps changing")

    async def _decide(self, order: Order) -> tuple[Order, datetime | None]:
        try:
            hold = await self._hold(order)
            return order.confirm(hold, self._clock()), hold.expire_time
        except IdempotencyKeyReused as error:
            # The hold of another call with the same key, which was not stored: its lease expires.
            raise Unavailable("another basket is held under this order's id", reason=HOLD_LAPSED) from error
        except REFUSALS as error:
            return order.reject(error.reason, self._clock()), None

    async def _hold(self, order: Order) -> Hold:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=self._wait,
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        return await retrying(self._stock.hold, order.id, order.lines)


def parse(message: Message) -> Order:
    """
    Return the order that *message* is about; raise `Poison` if it is invalid.
    """
    try:
        return wire.waiting_order(message.value or b"")
    except Exception as error:  # whatever the error: times out of range, names that are not ids
        raise Poison(f"not a shop.orders.v1.PendingOrder: {error}") from error
