"""Fakes of orders' ports, in memory."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orders_svc import rows
from orders_svc.order import Change, Hold, Line, Order, State
from orders_svc.ports import Answer, Fenced, KeyTaken, Orders, Placement, Request, Stale, Stored, WaitedFor
from orders_svc.refusals import RequestRefused
from runtime.errors import FailedPrecondition, Unavailable
from runtime.messaging.message import Record
from runtime.money import Money
from runtime.refusals import IdempotencyKeyReused

EUR_2 = Money("EUR", 2_000_000_000)


class FakeOrders:
    """The orders' port without a database."""

    def __init__(self, generation: int = 0) -> None:
        self.stock_generation = generation
        self.orders: dict[uuid.UUID, Order] = {}
        self.history: dict[tuple[uuid.UUID, int], bytes] = {}
        self.keys: dict[tuple[str, str], Stored] = {}
        self.events: list[Record] = []
        self.down = False

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the orders' database does not answer", reason="DATABASE_UNAVAILABLE", retry_after_s=1)

    async def find_answer(self, request: Request) -> Stored | None:
        self._reach()
        return self.keys.get((request.customer, request.request_id))

    async def place(self, placement: Placement) -> Answer:
        self._reach()
        order, request = placement.order, placement.request
        if stored := self.keys.get((request.customer, request.request_id)):
            raise KeyTaken(stored)
        self._fence(order, placement.lease)
        answer = Answer(rows.snapshot_of(order))
        self._remember(Change(None, order), request, answer)
        return answer

    async def generation(self) -> int:
        self._reach()
        return self.stock_generation

    async def get(self, order_id: uuid.UUID) -> Order | None:
        self._reach()
        return self.orders.get(order_id)

    async def save(self, change: Change, request: Request | None = None, lease: datetime | None = None) -> Answer:
        self._reach()
        if change.before is None or self.orders[change.after.id].version != change.before.version:
            raise Stale
        if request and (stored := self.keys.get((request.customer, request.request_id))):
            raise KeyTaken(stored)
        gives_back = change.moves_units and change.after.state is State.CANCELLED
        if gives_back and change.after.generation != self.stock_generation:
            raise Stale
        self._fence(change.after, lease)
        answer = Answer(rows.snapshot_of(change.after))
        self._remember(change, request, answer)
        return answer

    def _fence(self, order: Order, lease: datetime | None) -> None:
        lapsed = lease is not None and lease < datetime.now(UTC) + timedelta(seconds=2)
        if order.state is State.CONFIRMED and (order.generation < self.stock_generation or lapsed):
            raise Fenced

    def _remember(self, change: Change, request: Request | None, answer: Answer) -> None:
        order = change.after
        self.orders[order.id] = order
        self.history[order.id, order.version] = answer.snapshot
        self.events += rows.outbox_rows(change)
        if request is not None:
            replayed = Answer(answer.snapshot, replayed=True)
            self.keys[request.customer, request.request_id] = Stored(request.fingerprint, replayed)


class OutOfStock(FailedPrecondition):
    """Inventory's rejection, as its client raises it."""

    reason = "OUT_OF_STOCK"


class FakeInventory:
    """Inventory with the units in *stock*; `down` makes it unavailable."""

    def __init__(self, stock: Mapping[str, int] | None = None, generation: int = 0) -> None:
        self.stock = dict(stock or {})
        self.generation = generation
        self.holds: dict[uuid.UUID, dict[str, int]] = {}
        self.released: set[uuid.UUID] = set()
        self.prices: dict[str, Money] = {}
        self.calls: list[uuid.UUID] = []
        self.down = False
        self.before_answer: Callable[[uuid.UUID], Awaitable[None]] | None = None
        self.lease = timedelta(minutes=5)

    def answered_within(self, seconds: float) -> bool:
        return not self.down

    async def hold(self, order_id: uuid.UUID, lines: Sequence[Line]) -> Hold:
        self.calls.append(order_id)
        if self.down:
            raise Unavailable("inventory cannot be asked", reason="INVENTORY_UNAVAILABLE")
        if order_id in self.released:
            raise RequestRefused("the order came to nothing before")
        wanted = {line.product: line.quantity for line in lines}
        if order_id in self.holds and self.holds[order_id] != wanted:
            raise IdempotencyKeyReused("another basket is held")
        if order_id not in self.holds:
            if any(self.stock.get(product, 0) < quantity for product, quantity in wanted.items()):
                raise OutOfStock("not enough")
            for product, quantity in wanted.items():
                self.stock[product] -= quantity
            self.holds[order_id] = wanted
        prices = {product: self.prices.get(product, EUR_2) for product in wanted}
        held = Hold(self.generation, prices, datetime.now(UTC) + self.lease)
        if self.before_answer:
            await self.before_answer(order_id)
        return held

    async def release(self, order_id: uuid.UUID) -> None:
        if self.down:
            raise Unavailable("inventory cannot be asked", reason="INVENTORY_UNAVAILABLE")
        self.give_back(order_id)

    def give_back(self, order_id: uuid.UUID) -> None:
        self.released.add(order_id)
        for product, quantity in self.holds.pop(order_id, {}).items():
            self.stock[product] += quantity


if TYPE_CHECKING:
    _ORDERS: Orders = FakeOrders()
    _INVENTORY: WaitedFor = FakeInventory()
