"""
Random histories of a shop, against the orders that it may confirm and the units that came in.

Holds, confirmations, cancellations, hand-overs, events that come late, again or
not at all, leases that end, restocks that are torn apart by a crash, and Redis
losing everything. After each step units are conserved and nothing is oversold;
once everything has been delivered the stock is exactly what the orders say.
"""

import asyncio
import os
import uuid
from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order, OrderLine

from inventory_svc.connection import connect
from inventory_svc.events import LedgerEntries, OrderEvents
from inventory_svc.holds import Inventory
from inventory_svc.leases import Leases
from inventory_svc.rebuild import Guardian
from inventory_svc.scripts import Scripts
from inventory_svc.stock import Basket, Hold, Line, Listing, Money, Receipt, Sale
from inventory_svc.store import Store
from runtime.errors import Unavailable
from runtime.messaging.message import Message
from tests.integration.inventory.fakes import FakeLedger, FakeOrders, FakePublisher

PRODUCTS = ("mug", "pen")
ORDERS = [str(uuid.UUID(int=number)) for number in range(4)]
quantities = st.fixed_dictionaries({}, optional={name: st.integers(1, 4) for name in PRODUCTS}).filter(bool)
orders = st.sampled_from(ORDERS)


class Histories(RuleBasedStateMachine):
    def __init__(self, url):
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = connect(url, connect_timeout_s=1, timeout_s=5)
        self.scripts = Scripts(self.redis)
        self.store = Store(self.scripts, lease_ms=3_600_000, grace_ms=0, keep_ms=3_600_000, backlog_limit=10**6)
        self.table, self.ledger, self.publisher = FakeOrders(), FakeLedger(), FakePublisher()
        inventory = Inventory(self.store, self.ledger, self.table)
        self.inventory = inventory
        self.events = OrderEvents(inventory, self.publisher)
        self.leases = Leases(self.store, self.table, every_s=1)
        self.guardian = Guardian(self.scripts, self.ledger, self.table, on_ready=self.on_ready, every_s=1)
        self.baskets = {}
        self.granted = {}
        self.final = set()
        self.history = {order: [] for order in ORDERS}
        self.delivered = Counter()
        self.restocks = 0

    async def on_ready(self, ready):
        pass

    def run(self, work):
        return self.runner.run(work)

    def teardown(self):
        try:
            if self.scripts.position is not None:
                self.settle()
        finally:
            self.run(self.redis.aclose())
            self.runner.close()

    @initialize()
    def open(self):
        self.run(self.redis.flushall())
        listings = [Listing(name, name, "", Money("EUR", 1), low_stock=1) for name in PRODUCTS]
        self.run(self.ledger.record_listings(listings, 1))
        self.run(self.ledger.record_receipts([Receipt(f"seed {name}", name, 5) for name in PRODUCTS]))
        self.run(self.guardian.look())

    # What customers and the saga do.

    @rule(order=orders, wanted=quantities)
    def hold(self, order, wanted):
        basket = self.baskets.setdefault(order, Basket(order, tuple(Line(*each) for each in wanted.items())))
        (outcome,) = self.run(self.store.hold([basket]))
        if isinstance(outcome, Hold):
            self.granted[order] = outcome.generation
            released = order in self.final and self.delivered[order] == len(self.history[order])
            assert not released or order in self.table.fulfilled or outcome.generation > self.history[order][-1][1]

    @rule(order=orders)
    def confirm(self, order):
        """As the orders' transaction does it: only on a hold of the present generation whose lease lasts."""
        if order in self.final or order in self.table.confirmed:
            return
        if self.granted.get(order) == self.table.generation:
            self.table.confirmed[order] = Sale(order, self.baskets[order].lines, self.table.generation)
            self.note(order, Order.CONFIRMED)

    @rule(order=orders, wanted=quantities)
    def buy(self, order, wanted):
        self.hold(order=order, wanted=wanted)
        self.confirm(order=order)

    @rule(order=orders)
    def cancel(self, order):
        if order in self.baskets and order not in self.final:
            self.table.confirmed.pop(order, None)
            self.final.add(order)
            self.note(order, Order.CANCELLED)

    @rule(order=orders)
    def fulfil(self, order):
        if order in self.table.confirmed:
            self.table.fulfilled[order] = self.table.confirmed.pop(order)
            self.final.add(order)
            self.note(order, Order.FULFILLED)

    def note(self, order, state):
        generation = self.history[order][0][1] if self.history[order] else self.granted.get(order, 0)
        self.history[order].append((state, generation))

    # What Kafka does.

    @rule(order=orders)
    def deliver(self, order):
        if self.delivered[order] < len(self.history[order]):
            self.hand_over(order, self.history[order][self.delivered[order]])
            self.delivered[order] += 1

    @rule(order=orders)
    def deliver_again(self, order):
        for event in self.history[order][: self.delivered[order]]:
            self.hand_over(order, event)

    @rule()
    def deliver_garbage(self):
        before = len(self.publisher.records)
        self.run(self.events.handle([message(b"\xff", b"garbage")]))
        assert len(self.publisher.records) == before + 1

    def hand_over(self, order, event):
        state, generation = event
        lines = [
            OrderLine(product=f"products/{each.product}", quantity=each.quantity) for each in self.baskets[order].lines
        ]
        event = OrderEvent(order=Order(name=f"orders/{order}", state=state, lines=lines), stock_generation=generation)
        self.run(self.events.handle([message(order.encode(), event.SerializeToString())]))

    # What time and operators do.

    @rule()
    def leases_end(self):
        self.granted = {}
        self.run(self.let_leases_end())

    async def let_leases_end(self):
        prefix = f"stock:{self.scripts.generation}:"
        for order, _ in await self.redis.zrange(f"{prefix}leases", 0, -1, withscores=True):
            await self.redis.hset(f"{prefix}hold:{order}", "expire_ms", 1)
            await self.redis.zadd(f"{prefix}leases", {order: 1})
        while await self.leases.end_some():
            pass

    @rule(name=st.sampled_from(PRODUCTS), units=st.integers(1, 3), torn=st.booleans())
    def restock(self, name, units, torn):
        self.restocks += 1
        receipt = Receipt(f"ada {self.restocks}", name, units)
        if torn:
            # The replica died after the ledger had it.
            self.run(self.store.reserve(receipt))
            self.run(self.ledger.record_receipts([receipt]))
        else:
            self.run(self.inventory.restock(receipt))
            self.run(self.inventory.restock(receipt))

    @rule()
    def follow_ledger(self):
        values = [message(b"", entry.SerializeToString()) for entry in self.ledger.entries]
        self.run(LedgerEntries(self.store).handle(values))

    @rule()
    @precondition(lambda self: self.scripts.position is not None)
    def lose_redis(self):
        self.run(self.redis.flushall())
        (outcome,) = self.run(self.store.hold([Basket("x", (Line("mug", 1),))]))
        assert isinstance(outcome, Unavailable)
        self.run(self.guardian.look())

    # What must hold.

    @invariant()
    def units_are_conserved(self):
        if self.scripts.position is not None:
            assert self.run(self.store.audit()).broken == ()
            assert self.run(self.store.audit()).short == 0

    @invariant()
    def nothing_is_oversold(self):
        came_in, owned = self.came_in(), self.owned()
        assert all(owned[name] <= came_in[name] for name in PRODUCTS)

    def came_in(self):
        receipts = {each.receipt.request_id: each.receipt for each in self.ledger.entries if each.HasField("receipt")}
        total = Counter()
        for receipt in receipts.values():
            total[receipt.product.partition("/")[2]] += receipt.quantity
        return total

    def owned(self):
        total = Counter()
        for sale in [*self.table.confirmed.values(), *self.table.fulfilled.values()]:
            for line in sale.lines:
                total[line.product] += line.quantity
        return total

    def settle(self):
        """Deliver everything and let all leases end: the stock is what the orders own and what is left."""
        self.follow_ledger()
        for order in ORDERS:
            while self.delivered[order] < len(self.history[order]):
                self.deliver(order=order)
            self.deliver_again(order=order)
        self.leases_end()
        came_in, owned = self.came_in(), self.owned()
        for name in PRODUCTS:
            stock = self.run(self.store.product(name)).stock
            assert (stock.on_hand, stock.sold, stock.held) == (came_in[name], owned[name], 0), (name, stock)


def message(key, value):
    return Message("order_events", 0, 0, key, value, {}, 0)


def test_no_history_loses_doubles_or_oversells_a_unit(redis_server):
    run_state_machine_as_test(
        lambda: Histories(redis_server.url),
        settings=settings(
            max_examples=80,
            stateful_step_count=50,
            deadline=None,
            print_blob=True,
            # Shrinking takes minutes, since Redis syncs every write: it is worth it for a person only.
            phases=[phase for phase in Phase if phase is not Phase.shrink or "HISTORIES_SHRINK" in os.environ],
            suppress_health_check=list(HealthCheck),
        ),
    )
