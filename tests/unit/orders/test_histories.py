"""Random histories of orders, checked against the invariants."""

import asyncio
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from shop.orders.v1 import events_pb2, order_pb2

from orders_svc import saga
from orders_svc.checkout import Checkout
from orders_svc.order import NEXT, Draft, Line, State
from orders_svc.saga import Saga
from runtime.caller import Caller
from runtime.errors import Error
from tests.support.fakes.orders import FakeInventory, FakeOrders

UNITS = 10
TEA = "products/tea"
OPERATOR = Caller("op", operator=True)
OWNED = (State.CONFIRMED, State.FULFILLED)


class Histories(RuleBasedStateMachine):
    """Customers, operators, the saga and inventory's events in any order, with replays and outages."""

    placed = Bundle("placed")

    @initialize()
    def start(self):
        self.loop = asyncio.new_event_loop()
        self.orders = FakeOrders()
        self.inventory = FakeInventory({TEA: UNITS})
        self.checkout = Checkout(self.orders, self.inventory, hold_timeout_s=5)
        self.saga = Saga(self.orders, self.inventory, saga.stages([1]), give_up_s=60, wait=lambda _: 0)
        self.answers = {}
        self.applied = 0

    def do(self, work):
        """Run *work* to its end; an `Error` is a response like any other."""
        try:
            return self.loop.run_until_complete(work)
        except Error as error:
            return error

    @rule(target=placed, customer=st.sampled_from("ab"), key=st.sampled_from("123456"), quantity=st.integers(1, 4))
    def place(self, customer, key, quantity):
        draft = Draft(customer, key, (Line(TEA, quantity),))
        answer = self.do(self.checkout.place(draft))
        if not isinstance(answer, Error):
            first = self.answers.setdefault((customer, key), (quantity, answer))
            assert first[0] == quantity, "another basket was answered under the same key"
            assert first[1].snapshot == answer.snapshot
        return draft

    @rule(target=placed, key=st.sampled_from("789"), quantity=st.integers(1, 4))
    def place_across_a_rebuild(self, key, quantity):
        """Place an order while inventory loses its hold before the order is stored."""
        self.inventory.before_answer = self.rebuild_under_way
        draft = self.place("a", key, quantity)
        self.inventory.before_answer = None
        return draft

    @rule(draft=placed)
    def deliver_across_a_rebuild(self, draft):
        self.inventory.before_answer = self.rebuild_under_way
        self.deliver(draft)
        self.inventory.before_answer = None

    async def rebuild_under_way(self, _):
        self.inventory.before_answer = None
        self.rebuild()

    @rule(draft=placed)
    def cancel(self, draft):
        self.do(self.checkout.cancel(Caller(draft.customer), draft.order_id))

    @rule(draft=placed)
    def cancel_with_a_key(self, draft):
        self.do(self.checkout.cancel(Caller(draft.customer), draft.order_id, request_id=f"c{draft.request_id}"))

    @rule(draft=placed)
    def fulfil(self, draft):
        self.do(self.checkout.fulfil(OPERATOR, draft.order_id))

    @rule(draft=placed)
    def deliver(self, draft):
        """Deliver the order's message to the saga: once, twice, late, or although it is not pending."""
        if draft.order_id in self.orders.orders:
            self.do(self.saga.finish(self.orders.orders[draft.order_id]))

    @rule(down=st.booleans())
    def turn_inventory(self, down):
        self.inventory.down = down

    @rule()
    def rebuild(self):
        """Lose inventory's data, fence the old generation, and rebuild from owned units."""
        self.orders.stock_generation += 1
        self.inventory.generation = self.orders.stock_generation
        owned = {key: order for key, order in self.orders.orders.items() if order.state in OWNED}
        self.inventory.holds = {key: self.inventory.holds[key] for key in owned}
        taken = sum(line.quantity for order in owned.values() for line in order.lines)
        self.inventory.stock = {TEA: UNITS - taken}

    @rule(back=st.integers(0, 3))
    def consume_events(self, back):
        """Consume the events; the last batch is redelivered after a crash."""
        self.apply(max(0, self.applied - back))

    def apply(self, start):
        events = [row for row in self.orders.events if row.topic == "order_events"]
        for row in events[start:]:
            order = events_pb2.OrderEvent.FromString(row.value).order
            if order.state in (order_pb2.Order.CANCELLED, order_pb2.Order.REJECTED):
                self.give_back(order)
        self.applied = len(events)

    def give_back(self, order):
        order_id = next(key for key, each in self.orders.orders.items() if each.name == order.name)
        self.inventory.give_back(order_id)

    @invariant()
    def no_unit_is_sold_twice(self):
        if hasattr(self, "orders"):
            assert self.inventory.stock[TEA] >= 0
            assert self.owned() <= UNITS

    @invariant()
    def every_order_went_an_allowed_way_without_gaps(self):
        if not hasattr(self, "orders"):
            return
        for order_id, order in self.orders.orders.items():
            steps = [self.version(order_id, number) for number in range(1, order.version + 1)]
            assert steps[0] in (State.PENDING, State.CONFIRMED)
            assert all(after in NEXT[before] for before, after in pairwise(steps))

    def version(self, order_id, number):
        message = order_pb2.Order.FromString(self.orders.history[order_id, number])
        return State(order_pb2.Order.State.Name(message.state))

    def owned(self):
        return sum(
            line.quantity for order in self.orders.orders.values() if order.state in OWNED for line in order.lines
        )

    def teardown(self):
        """After recovery no order is pending and the stock adds up."""
        if not hasattr(self, "orders"):
            return
        self.inventory.down = False
        for order in list(self.orders.orders.values()):
            assert self.do(self.saga.finish(order)) is None
        self.apply(0)
        assert all(order.state is not State.PENDING for order in self.orders.orders.values())
        held_for_nobody = [key for key in self.inventory.holds if key not in self.orders.orders]
        assert not held_for_nobody
        assert self.inventory.stock[TEA] == UNITS - self.owned()
        self.loop.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
