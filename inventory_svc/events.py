"""
What becomes of orders, from Kafka: confirmed -> commit, cancelled or rejected -> release.

An order that is CONFIRMED owns its stock, whatever became of its hold:

- Its hold is there: it is sold.
- Its hold was confirmed on an older generation: the rebuild read the orders after
  it had fenced that generation, so it took this order into account. Nothing is
  left to do.
- Its hold's lease ended. `leases` asked the orders then, and they did not own it:
  the order was called off after this event was written. The orders are asked
  again, and if that is so nothing is done; its CANCELLED event follows.
- They say that it does own its stock, which clocks that differ by more than the
  lease's grace can bring about: its units are taken again from what is available.
  What is not there is noted as `short`, told by a SHORT event, a metric and the
  log, and the next units that come in or back go to it, not to new buyers. So
  even then no unit is sold twice without anybody knowing.

Every effect is idempotent and a hold only moves forward, so events may come
again, and a batch is worked on by kind: commits, then fulfilments, then releases.
What is no order event goes to the dead-letter topic and blocks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from google.protobuf.message import DecodeError
from prometheus_client import Counter
from shop.inventory.v1.events_pb2 import LedgerEntry
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order

from inventory_svc import translate
from inventory_svc.holds import Inventory
from inventory_svc.ledger import decode
from inventory_svc.stock import Hold, HoldGone, HoldReleased, HoldSettled, Rebuilding, Sale
from inventory_svc.store import HoldOutcome, Store
from runtime import errors
from runtime.messaging.message import Message
from runtime.messaging.topics import put_aside_topic
from runtime.messaging.wrappers import Rejected

ORDER_EVENTS = "order_events"
DEAD = put_aside_topic("order_events.inventory.dead")
GROUP = "inventory"
LEDGER_GROUP = "inventory-ledger"
EVENTS = Counter(
    "inventory_order_events", "Order events, by the order's state and what became of them.", ["state", "outcome"]
)
_ORDER = re.compile(r"orders/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
log = structlog.get_logger()


@dataclass
class Batch:
    """The events of one batch by what they ask for."""

    sales: list[tuple[Message, Sale]] = field(default_factory=list)
    fulfilled: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    dead: list[tuple[Message, Exception]] = field(default_factory=list)


class OrderEvents:
    """Takes effect of order events."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    async def handle(self, messages: Sequence[Message]) -> None:
        """
        Take effect of *messages*; raises `Unavailable` if they should come again.

        Those that cannot take effect whenever they come are `Rejected`, and the others are done.
        """
        batch = sort(messages)
        outcomes = await self._inventory.commit_all([sale for _, sale in batch.sales])
        for (message, sale), outcome in zip(batch.sales, outcomes, strict=True):
            self._note(batch, message, sale, outcome)
        await self._inventory.fulfil_all(batch.fulfilled)
        for released in await self._inventory.release_all(batch.released):
            EVENTS.labels("RELEASED", released.reason if isinstance(released, errors.Error) else "RELEASED").inc()
        if batch.dead:
            EVENTS.labels("UNREADABLE", "DEAD").inc(len(batch.dead))
            raise Rejected(batch.dead)

    def _note(self, batch: Batch, message: Message, sale: Sale, outcome: HoldOutcome) -> None:
        if isinstance(outcome, Rebuilding):
            raise outcome
        if isinstance(outcome, errors.Error) and not isinstance(outcome, HoldReleased | HoldSettled | HoldGone):
            batch.dead.append((message, outcome))
        if isinstance(outcome, Hold) and outcome.late:
            log.error(
                "a hold's lease ended before its order was committed; its stock was taken again", order=sale.order
            )
        EVENTS.labels("CONFIRMED", outcome.reason if isinstance(outcome, errors.Error) else "COMMITTED").inc()


def sort(messages: Sequence[Message]) -> Batch:
    """
    Return what *messages* ask for; those that can't be read are dead.
    """
    batch = Batch()
    for message in messages:
        try:
            _sort_one(batch, message, read(message))
        except errors.InvalidArgument as error:
            batch.dead.append((message, error))
    return batch


def _sort_one(batch: Batch, message: Message, event: OrderEvent) -> None:
    order = translate.bare(event.order.name)
    state = event.order.state
    if state in (Order.CONFIRMED, Order.FULFILLED):
        batch.sales.append((message, Sale(order, translate.lines(event.order.lines), event.stock_generation)))
    if state == Order.FULFILLED:
        batch.fulfilled.append(order)
    if state in (Order.CANCELLED, Order.REJECTED):
        batch.released.append(order)


def read(message: Message) -> OrderEvent:
    """
    Return the event in *message*, or raise `InvalidArgument` that says what is wrong with it.
    """
    try:
        event = OrderEvent.FromString(message.value or b"")
    except DecodeError as error:
        raise errors.InvalidArgument("it is no OrderEvent") from error
    if not _ORDER.fullmatch(event.order.name):
        raise errors.InvalidArgument(f"order.name {event.order.name[:80]!r} is no order's name")
    if event.order.state not in Order.State.values() or event.order.state == Order.STATE_UNSPECIFIED:
        raise errors.InvalidArgument(f"order.state {event.order.state} is not known")
    if event.order.state in (Order.CONFIRMED, Order.FULFILLED) and not event.order.lines:
        raise errors.InvalidArgument("order.lines is empty")
    return event


class LedgerEntries:
    """Applies what is in the ledger and was not applied by who wrote it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle(self, messages: Sequence[Message]) -> None:
        """
        Apply *messages* in their order; raises `Unavailable` if they should come again.
        """
        for message in messages:
            entry = decode(message.value or b"")
            if entry is not None:
                await self._apply(entry)

    async def _apply(self, entry: LedgerEntry) -> None:
        if entry.HasField("listing"):
            await self._store.list_product(translate.listing(entry.listing), entry.occur_time.ToMilliseconds())
        elif entry.HasField("receipt"):
            await self._store.receive(translate.receipt(entry.receipt))
        elif entry.rebuild.generation > self._store.scripts.generation:
            # Another replica is rebuilding, or Redis is older than it should be.
            self._store.scripts.lost.set()
