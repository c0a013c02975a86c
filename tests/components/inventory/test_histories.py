"""
Random histories of a shop, checked against its confirmed orders and received units.

Holds, confirmations, cancellations, deliveries, late, repeated and missing events, expired leases, restocks
interrupted by a crash, and data loss in Redis. After each step units are conserved and nothing is oversold; once
everything has been delivered the stock is exactly what the orders say.
"""

import asyncio
import os
import time
import uuid
from collections import Counter
from functools import partial

import pytest
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
from redis.asyncio import Redis
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order, OrderLine

from inventory_svc import consumers
from inventory_svc.connection import connect
from inventory_svc.entries import usable
from inventory_svc.events import OrderEvents
from inventory_svc.generation import CurrentGeneration
from inventory_svc.holds import Inventory
from inventory_svc.leases import Leases
from inventory_svc.ledger_follower import LedgerEntries
from inventory_svc.marker import StockMarker
from inventory_svc.rebuild import Rebuild
from inventory_svc.recovery import StockRecovery
from inventory_svc.refusals import Rebuilding
from inventory_svc.scripts import MARKER, Scripts
from inventory_svc.staging import Staging
from inventory_svc.stock import Basket, Hold, Line, Listing, Receipt, Sale, State
from runtime.errors import Unavailable
from runtime.messaging.message import Message
from runtime.money import Money
from tests.components.inventory.conftest import store_on
from tests.support.fakes.inventory import FakeLedger, FakeOrders, FakePublisher

PRODUCTS = ("mug", "pen")
ORDERS = [str(uuid.UUID(int=number)) for number in range(4)]
TICK_S = 600
quantities = st.fixed_dictionaries({}, optional={name: st.integers(1, 4) for name in PRODUCTS}).filter(bool)
orders = st.sampled_from(ORDERS)


class Histories(RuleBasedStateMachine):
    def __init__(self, url):
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = connect(url, connect_timeout_s=5, timeout_s=20)
        self.current = CurrentGeneration()
        self.store = store_on(self.redis, self.current, lease_ms=3_600_000, keep_ms=3_600_000, remembered=10**6)
        self.table, self.ledger, self.publisher = FakeOrders(), FakeLedger(), FakePublisher()
        inventory = Inventory(self.store, self.ledger, self.table, self.current)
        self.inventory = inventory
        self.events = consumers.order_events(OrderEvents(inventory), self.publisher, patience_s=0)
        self.leases = Leases(self.store, self.table, self.current, every_s=1)
        self.recovery = StockRecovery(
            StockMarker(self.redis),
            self.current,
            Rebuild(partial(Staging, self.redis, Scripts(self.redis, self.current)), self.ledger, self.table),
            self.ledger,
            self.table,
            on_ready=self.on_ready,
            every_s=1,
            ask_s=0,
        )
        self.clock = 0
        self.baskets = {}
        self.granted = {}
        self.final = set()
        self.history = {order: [] for order in ORDERS}
        self.delivered = Counter()
        self.handed_over_in = {}
        self.restocks = 0

    async def on_ready(self, ready):
        pass

    def run(self, work):
        return self.runner.run(work)

    def teardown(self):
        try:
            if self.current.position is not None:
                self.settle()
        finally:
            self.run(self.redis.aclose())
            self.runner.close()

    @initialize()
    def open(self):
        self.run(self.redis.flushall())
        listings = [Listing(name, name, "", Money.of("EUR", 1), low_stock=1) for name in PRODUCTS]
        self.run(self.ledger.record_listings(listings, 1))
        self.run(self.ledger.record_receipts([Receipt(f"seed {name}", name, 5) for name in PRODUCTS]))
        self.run(self.recovery.look())

    # Actions of customers and the saga.

    @rule(order=orders, wanted=quantities)
    def hold(self, order, wanted):
        basket = self.baskets.setdefault(order, Basket(order, tuple(Line(*each) for each in wanted.items())))
        (outcome,) = self.run(self.store.hold([basket]))
        if isinstance(outcome, Hold):
            self.granted[order] = outcome.generation
            complete = self.delivered[order] == len(self.history[order])
            cancelled = complete and order in self.final and order not in self.table.fulfilled
            # A rebuild forgets it until the event is redelivered; the lease ends such a hold.
            assert not cancelled or outcome.generation > self.handed_over_in.get(order, 0)
            if outcome.state is State.COMMITTED:
                assert order in self.table.confirmed or order in self.table.fulfilled or not complete

    @rule(order=orders)
    def confirm(self, order):
        """Confirm like the orders' transaction: only on a hold of the current generation with an unexpired lease."""
        if order in self.final or order in self.table.confirmed:
            return
        if self.granted.get(order) == self.table.present:
            self.table.confirmed[order] = Sale(order, self.baskets[order].lines, self.table.present)
            self.note(order, Order.CONFIRMED, self.table.present, self.table.present)

    @rule(order=orders, wanted=quantities)
    def buy(self, order, wanted):
        self.hold(order=order, wanted=wanted)
        self.confirm(order=order)

    @rule(order=orders)
    def cancel(self, order):
        if order in self.baskets and order not in self.final:
            sale = self.table.confirmed.pop(order, None)
            self.final.add(order)
            # Like the orders' transaction: in the generation that is current then.
            self.note(order, Order.CANCELLED, self.table.present if sale else 0, sale.generation if sale else 0)

    @rule(order=orders)
    def fulfil(self, order):
        if order in self.table.confirmed:
            sale = self.table.fulfilled[order] = self.table.confirmed.pop(order)
            self.final.add(order)
            self.note(order, Order.FULFILLED, sale.generation, sale.generation)

    def note(self, order, state, generation, held_in):
        self.history[order].append((state, generation, held_in, time.time()))

    # Actions of Kafka.

    @rule(order=orders)
    def deliver(self, order):
        waiting = self.history[order][self.delivered[order] :]
        if waiting and self.hand_over(order, waiting[0]):
            self.delivered[order] += 1

    @rule(order=orders)
    def deliver_again(self, order):
        for event in self.history[order][: self.delivered[order]]:
            self.hand_over(order, event)

    @rule()
    def deliver_garbage(self):
        before = len(self.publisher.records)
        self.run(self.events([message(b"\xff", b"garbage")]))
        assert len(self.publisher.records) == before + 1

    def hand_over(self, order, event):
        state, generation, held_in, at = event
        lines = [
            OrderLine(product=f"products/{each.product}", quantity=each.quantity) for each in self.baskets[order].lines
        ]
        event = OrderEvent(
            order=Order(name=f"orders/{order}", state=state, lines=lines),
            stock_generation=generation,
            hold_generation=held_in,
        )
        event.occur_time.FromMilliseconds(int(at * 1000))
        event.order.create_time.FromMilliseconds(int(self.history[order][0][-1] * 1000))
        try:
            self.run(self.events([message(order.encode(), event.SerializeToString())]))
        except Rebuilding:
            # The generation is newer than Redis's, or the order's outcome was pruned: a rebuild comes first.
            self.run(self.recovery.look())
            return False
        if state == Order.CANCELLED:
            self.handed_over_in[order] = self.current.number
        return True

    # Actions of time and operators.

    @rule()
    def leases_end(self):
        self.granted = {}
        self.run(self.let_leases_end())

    async def let_leases_end(self):
        prefix = await self.redis.hget(MARKER, "prefix")
        for order, _ in await self.redis.zrange(f"{prefix}leases", 0, -1, withscores=True):
            await self.redis.hset(f"{prefix}hold:{order}", "expire_ms", 1)
            await self.redis.zadd(f"{prefix}leases", {order: 1})
        while await self.leases.end_due():
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
        self.run(LedgerEntries(self.store).handle(self.ledger.messages))

    @rule()
    @precondition(lambda self: self.current.position is not None)
    def lose_redis(self):
        self.run(self.redis.flushall())
        (outcome,) = self.run(self.store.hold([Basket(str(uuid.UUID(int=99)), (Line("mug", 1),))]))
        assert isinstance(outcome, Unavailable)
        self.run(self.recovery.look())

    @rule()
    @precondition(lambda self: self.current.position is not None)
    def rebuild_what_is_there(self):
        """Rebuild as the reconciler does: nothing was lost, and nothing may be."""
        self.run(self.inventory.rebuild(self.current.number))
        self.run(self.recovery.look())

    @rule()
    def fence(self):
        """Rebuild and fail in the last step: the orders are ahead of Redis, possibly without an event of it."""
        self.table.present += 1
        self.granted = {}

    @rule()
    @precondition(lambda self: self.table.present not in self.generations_of_changes())
    def restore_orders_of_an_earlier_generation(self):
        """
        Restore the orders from before their last generation began, in which nothing was changed yet.

        A change made in it would be lost, and its event a dead letter: that generation no longer exists.
        """
        self.table.present = max(0, self.table.present - 1)
        self.granted = {}
        self.run(self.recovery.look())

    def generations_of_changes(self):
        return {generation for events in self.history.values() for _, generation, *_ in events}

    @rule()
    def recover(self):
        self.run(self.recovery.look())

    @rule(ticks=st.integers(1, 4))
    def time_passes(self, ticks):
        """Let remembered outcomes age, and prune those that are old enough; events arrive no sooner."""
        self.run(self.grow_old(ticks))
        while self.run(self.store.forget()).more:
            pass

    async def grow_old(self, ticks):
        prefix = await self.redis.hget(MARKER, "prefix")
        self.history = {
            order: [(*rest, at - ticks * TICK_S) for *rest, at in events] for order, events in self.history.items()
        }
        raw = Redis(unix_socket_path=self.redis.connection_pool.connection_kwargs["path"])
        async for key in raw.scan_iter(match=f"{prefix}final:*"):
            values = await raw.hgetall(key)
            await raw.hset(key, mapping={field: int(value) - 4 * ticks for field, value in values.items()})
        counts = await raw.hgetall(f"{prefix}ticks")
        await raw.delete(f"{prefix}ticks")
        if counts:
            await raw.hset(f"{prefix}ticks", mapping={int(tick) - ticks: count for tick, count in counts.items()})
        if horizon := await raw.get(f"{prefix}horizon"):
            await raw.set(f"{prefix}horizon", int(horizon) - ticks)
        await raw.aclose()

    # Invariants.

    @invariant()
    def units_are_conserved(self):
        if self.current.position is not None:
            found = self.run(self.store.audit())
            assert (found.broken, found.short) == ((), 0)

    @invariant()
    def nothing_is_oversold(self):
        came_in, owned = self.came_in(), self.owned()
        assert all(owned[name] <= came_in[name] for name in PRODUCTS)

    def came_in(self):
        entries = [usable(each) for each in self.ledger.messages]
        receipts = {each.request: each for each in entries if isinstance(each, Receipt)}
        total = Counter()
        for receipt in receipts.values():
            total[receipt.product] += receipt.quantity
        return total

    def owned(self):
        return self.table.owned()

    def settle(self):
        """Deliver everything and let all leases expire: the stock is the units owned by orders, and the rest."""
        self.run(self.recovery.look())
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


HOLD_AGAIN = [("time_passes", {"ticks": 4}), ("time_passes", {"ticks": 4}), ("hold", {"wanted": {"mug": 1}})]


@pytest.mark.parametrize(
    "rest", [[], [("cancel", {})], [*HOLD_AGAIN[:2], ("cancel", {})]], ids=["sold", "cancelled", "old"]
)
@pytest.mark.parametrize("late", [False, True], ids=["cancelled before", "cancelled after"])
def test_a_hold_after_its_sale_was_pruned_is_not_mistaken_for_the_sold_one(redis_server, rest, late):
    state = Histories(redis_server.url)
    order = ORDERS[0]
    try:
        state.open()
        state.buy(order=order, wanted={"mug": 1})
        state.deliver(order=order)
        for name, arguments in [*HOLD_AGAIN, *rest] if late else [*rest, *HOLD_AGAIN]:
            getattr(state, name)(**arguments if name == "time_passes" else {"order": order, **arguments})
    finally:
        state.teardown()


def message(key, value):
    return Message("order_events", 0, 0, key, value, {}, 0)


def test_no_history_loses_duplicates_or_oversells_a_unit(redis_server):
    run_state_machine_as_test(
        lambda: Histories(redis_server.url),
        settings=settings(
            max_examples=int(os.environ.get("HISTORIES", "30")),
            stateful_step_count=50,
            deadline=None,
            print_blob=True,
            # Shrinking takes minutes, since Redis syncs every write: it is worth it for a person only.
            phases=[phase for phase in Phase if phase is not Phase.shrink or "HISTORIES_SHRINK" in os.environ],
            suppress_health_check=list(HealthCheck),
        ),
    )
