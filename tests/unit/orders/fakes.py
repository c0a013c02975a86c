"""Orders and inventory in memory, behind the same ports as the real ones."""

import uuid
from datetime import UTC, datetime, timedelta

from orders_svc import rows
from orders_svc.order import Change, Hold, IdempotencyKeyReused, RequestRefused, State
from orders_svc.ports import Answer, Fenced, KeyTaken, Request, Stale, Stored
from runtime.errors import FailedPrecondition, Unavailable
from runtime.money import Money

EUR_2 = Money("EUR", 2_000_000_000)


class FakeOrders:
    """The orders' port without a database."""

    def __init__(self, generation=0):
        self.stock_generation = generation
        self.orders = {}
        self.history = {}
        self.keys = {}
        self.events = []
        self.down = False

    def _reach(self):
        if self.down:
            raise Unavailable("the orders' database does not answer", reason="DATABASE_UNAVAILABLE", retry_after_s=1)

    async def find_answer(self, request):
        self._reach()
        return self.keys.get((request.customer, request.request_id))

    async def place(self, placement):
        self._reach()
        order, request = placement.order, placement.request
        if stored := self.keys.get((request.customer, request.request_id)):
            raise KeyTaken(stored)
        self._fence(order, placement.lease)
        answer = Answer(rows.snapshot_of(order))
        self._remember(Change(None, order), request, answer)
        return answer

    async def generation(self):
        self._reach()
        return self.stock_generation

    async def get(self, order_id):
        self._reach()
        return self.orders.get(order_id)

    async def save(self, change, request=None, lease=None):
        self._reach()
        if self.orders[change.after.id].version != change.before.version:
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

    def _fence(self, order, lease):
        lapsed = lease is not None and lease < datetime.now(UTC) + timedelta(seconds=2)
        if order.state is State.CONFIRMED and (order.generation < self.stock_generation or lapsed):
            raise Fenced

    def _remember(self, change, request, answer):
        order = change.after
        self.orders[order.id] = order
        self.history[order.id, order.version] = answer.snapshot
        self.events += rows.outbox_rows(change)
        if request is not None:
            replayed = Answer(answer.snapshot, replayed=True)
            self.keys[request.customer, request.request_id] = Stored(request.fingerprint, replayed)


class OutOfStock(FailedPrecondition):
    reason = "OUT_OF_STOCK"


class FakeInventory:
    """Inventory with what is in *stock*; `down` makes it unreachable."""

    def __init__(self, stock=None, generation=0):
        self.stock = dict(stock or {})
        self.generation = generation
        self.holds = {}
        self.released = set()
        self.prices = {}
        self.calls = []
        self.down = False
        self.before_answer = None
        self.lease = timedelta(minutes=5)

    def answered_within(self, seconds):
        return not self.down

    async def hold(self, order_id: uuid.UUID, lines):
        self.calls.append(order_id)
        if self.down:
            raise Unavailable("inventory cannot be asked", reason="INVENTORY_UNAVAILABLE")
        if order_id in self.released:
            raise RequestRefused("the order came to nothing before")
        if order_id in self.holds and self.holds[order_id] != {line.product: line.quantity for line in lines}:
            raise IdempotencyKeyReused("another basket is held")
        if order_id not in self.holds:
            if any(self.stock.get(line.product, 0) < line.quantity for line in lines):
                raise OutOfStock("not enough")
            for line in lines:
                self.stock[line.product] -= line.quantity
            self.holds[order_id] = {line.product: line.quantity for line in lines}
        prices = {line.product: self.prices.get(line.product, EUR_2) for line in lines}
        held = Hold(self.generation, prices, datetime.now(UTC) + self.lease)
        if self.before_answer:
            await self.before_answer(order_id)
        return held

    async def release(self, order_id):
        if self.down:
            raise Unavailable("inventory cannot be asked", reason="INVENTORY_UNAVAILABLE")
        self.give_back(order_id)

    def give_back(self, order_id):
        self.released.add(order_id)
        for product, quantity in self.holds.pop(order_id, {}).items():
            self.stock[product] += quantity


__all__ = ["FakeInventory", "FakeOrders", "Request"]
