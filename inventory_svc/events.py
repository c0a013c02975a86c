"""
Order events from Kafka: confirmed or fulfilled -> commit, cancelled or rejected -> release.

The cases of missing holds, rebuilt stocks and unknown generations are described in `holds`. Every effect is
idempotent, so events may be redelivered, and a batch is grouped by kind: commits, then releases. Invalid events, and
those that can never be applied, are dead-lettered and do not block others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import Counter
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order

from inventory_svc import wire
from inventory_svc.holds import Inventory
from inventory_svc.ports import HoldOutcome
from inventory_svc.refusals import HoldCommitted, HoldGone, HoldReleased, HoldSettled
from inventory_svc.stock import JUST_NOW_MS, MAX_LINES, Return, Sale
from runtime import errors
from runtime.messaging.message import Message
from runtime.messaging.wrappers import Rejected

EVENTS = Counter(
    "inventory_order_events", "Order events, by the order's state and what became of them.", ["state", "outcome"]
)
NO_FAULT = (HoldReleased, HoldSettled, HoldGone, HoldCommitted)
"""Errors of a stale event of an order that has changed since."""
UNITS_MOVE = (Order.CONFIRMED, Order.FULFILLED)
MAX_QUANTITY = 1_000_000
_ORDER = re.compile(r"orders/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
log = structlog.get_logger()


@dataclass
class Batch:
    """The events of one batch by operation."""

    sales: list[tuple[Message, Sale]] = field(default_factory=list)
    returns: list[tuple[Message, Return]] = field(default_factory=list)
    dead: list[tuple[Message, Exception]] = field(default_factory=list)


class OrderEvents:
    """Applies order events to the stock."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    async def handle(self, messages: Sequence[Message]) -> None:
        """
        Apply *messages*; raise `Unavailable` if they should be redelivered.

        Those that can never be applied are `Rejected`, and the others are done.
        """
        batch = sort(messages)
        sold = await self._inventory.commit_all([sale for _, sale in batch.sales])
        for (message, _), outcome in zip(batch.sales, sold, strict=True):
            _note(batch, message, "CONFIRMED", outcome)
        released = await self._inventory.release_all([back for _, back in batch.returns])
        for (message, _), outcome in zip(batch.returns, released, strict=True):
            _note(batch, message, "RELEASED", outcome)
        if batch.dead:
            EVENTS.labels("UNREADABLE", "DEAD").inc(len(batch.dead))
            raise Rejected(batch.dead)


def _note(batch: Batch, message: Message, state: str, outcome: HoldOutcome) -> None:
    if isinstance(outcome, errors.Unavailable):
        raise outcome
    if isinstance(outcome, errors.Error) and not isinstance(outcome, NO_FAULT):
        batch.dead.append((message, outcome))
    EVENTS.labels(state, outcome.reason if isinstance(outcome, errors.Error) else outcome.state.name).inc()


def sort(messages: Sequence[Message]) -> Batch:
    """
    Group *messages* by operation; invalid ones are dead.
    """
    batch = Batch()
    for message in messages:
        try:
            _sort_one(batch, message, read(message))
        except errors.InvalidArgument as error:
            batch.dead.append((message, error))
    return batch


def _sort_one(batch: Batch, message: Message, event: OrderEvent) -> None:
    if event.HasField("customer_erase_time"):
        # Nothing moved; and of an order from long ago nobody knows any more whether its units did.
        EVENTS.labels(Order.State.Name(event.order.state), "CUSTOMER_ERASED").inc()
        return
    order, lines = wire.bare(event.order.name), wire.lines(event.order.lines)
    state, generation = event.order.state, event.stock_generation
    at_ms, created_ms = _moment(event.occur_time), _moment(event.order.create_time)
    if state == Order.CONFIRMED:
        batch.sales.append((message, Sale(order, lines, generation, at_ms)))
    elif state == Order.FULFILLED:
        batch.sales.append((message, Sale(order, lines, generation, created_ms, handed_over=True)))
    elif state in (Order.CANCELLED, Order.REJECTED):
        back = Return(order, lines, generation, event.hold_generation, at_ms, created_ms)
        batch.returns.append((message, back))


def _moment(time: Timestamp) -> int:
    return min(max(0, wire.milliseconds(time)), JUST_NOW_MS)


def read(message: Message) -> OrderEvent:
    """
    Return the event in *message*, or raise `InvalidArgument` with what is invalid in it.
    """
    try:
        event = OrderEvent.FromString(message.value or b"")
    except DecodeError as error:
        raise errors.InvalidArgument("not an OrderEvent") from error
    if not _ORDER.fullmatch(event.order.name):
        raise errors.InvalidArgument(f"order.name {event.order.name[:80]!r} is not an order's name")
    if event.order.state not in Order.State.values() or event.order.state == Order.STATE_UNSPECIFIED:
        raise errors.InvalidArgument(f"order.state {event.order.state} is not known")
    if event.order.state in UNITS_MOVE and not event.order.lines:
        raise errors.InvalidArgument("order.lines is empty")
    if any(not 1 <= line.quantity <= MAX_QUANTITY for line in event.order.lines):
        raise errors.InvalidArgument("order.lines has a quantity out of its range")
    if len({line.product for line in event.order.lines}) < len(event.order.lines):
        raise errors.InvalidArgument("order.lines has a product twice")
    if len(event.order.lines) > MAX_LINES or min(event.stock_generation, event.hold_generation) < 0:
        raise errors.InvalidArgument("order.lines or a generation is out of its range")
    return event
