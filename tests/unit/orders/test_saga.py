"""Finishing pending orders: every interleaving with concurrent changes."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import tenacity
from prometheus_client import REGISTRY

from orders_svc import consumers, saga, wire
from orders_svc.checkout import Checkout
from orders_svc.order import Draft, Line, Order, State
from orders_svc.ports import Placement, Request
from runtime.caller import Caller
from runtime.errors import Unavailable
from runtime.messaging.message import Message
from runtime.money import Money
from tests.support.fakes.orders import FakeInventory, FakeOrders
from tests.support.orders_port_suite import draft, hold_for

ANN = Caller("ann")
PATH = saga.stages([0.2, 0.4])


class Bus:
    def __init__(self):
        self.records = []
        self.down = False

    async def publish_each(self, records):
        if self.down:
            return [Unavailable("no Kafka") for _ in records]
        self.records += records
        return [None for _ in records]


class World:
    """The world around one pending order."""

    def __init__(self):
        self.orders = FakeOrders()
        self.inventory = FakeInventory({"products/tea": 10})
        self.bus = Bus()
        self.saga = saga.Saga(self.orders, self.inventory, PATH, give_up_s=60, wait=tenacity.wait_none(), probe_s=0.02)
        self.checkout = Checkout(self.orders, self.inventory, hold_timeout_s=1)

    async def pending(self, **what):
        wanted = draft(**what)
        order = Order.pending(wanted, datetime.now(UTC))
        await self.orders.place(Placement(order, Request.of(wanted)))
        return order

    def state(self, order):
        return self.orders.orders[order.id].state


@pytest.fixture
def world():
    return World()


def message(order, topic="pending_orders", *, age_s=0.0, value=None, headers=None):
    value = wire.pending_order(order).SerializeToString() if value is None else value
    at = int((time.time() - age_s) * 1000)
    return Message(topic, 0, 7, str(order.id if order else "k").encode(), value, headers or {}, at)


async def test_a_pending_order_is_confirmed_with_its_prices(world):
    order = await world.pending()
    await world.saga.finish(order)
    now = world.orders.orders[order.id]
    assert (now.state, now.version, now.total.nanos) == (State.CONFIRMED, 2, 4_000_000_000)


async def test_a_pending_order_without_stock_is_rejected_with_the_reason(world):
    order = await world.pending(quantity=11)
    await world.saga.finish(order)
    assert (world.state(order), world.orders.orders[order.id].state_reason) == (State.REJECTED, "OUT_OF_STOCK")


async def test_a_redelivered_message_changes_nothing(world):
    order = await world.pending()
    await world.saga.finish(order)
    await world.saga.finish(order)
    assert world.orders.orders[order.id].version == 2
    assert world.inventory.stock["products/tea"] == 8


async def test_a_hold_is_tried_five_times_per_delivery(world):
    order = await world.pending()
    world.inventory.down = True
    with pytest.raises(Unavailable):
        await world.saga.finish(order)
    assert len(world.inventory.calls) == 5


async def test_a_cancelled_order_is_not_held(world):
    order = await world.pending()
    await world.checkout.cancel(ANN, order.id)
    await world.saga.finish(order)
    assert world.state(order) is State.CANCELLED
    assert not world.inventory.calls


async def test_a_cancel_between_the_hold_and_the_confirmation_wins(world):
    """The hold exists, the row says CANCELLED: its event releases the hold."""
    order = await world.pending()

    async def cancel(_):
        world.inventory.before_answer = None
        await world.checkout.cancel(ANN, order.id)

    world.inventory.before_answer = cancel
    await world.saga.finish(order)
    assert world.state(order) is State.CANCELLED
    assert [row.topic for row in world.orders.events].count("order_events") == 2


async def test_a_cancel_that_races_with_a_confirmation_cancels_the_confirmed_order(world):
    """The cancel reads again and cancels the confirmed order."""
    order = await world.pending()
    get = world.orders.get

    async def get_then_confirm(order_id):
        seen = await get(order_id)
        world.orders.get = get
        await world.saga.finish(order)
        return seen

    world.orders.get = get_then_confirm
    await world.checkout.cancel(ANN, order.id)
    now = world.orders.orders[order.id]
    assert (now.state, now.version) == (State.CANCELLED, 3)


async def test_a_hold_after_the_release_is_refused_and_the_cancel_stands(world):
    order = await world.pending()

    async def cancel_and_release(order_id):
        await world.checkout.cancel(ANN, order_id)
        world.inventory.give_back(order_id)

    hold = world.inventory.hold

    async def late_hold(order_id, lines):
        await cancel_and_release(order_id)
        return await hold(order_id, lines)

    world.inventory.hold = late_hold
    await world.saga.finish(order)
    assert world.state(order) is State.CANCELLED


async def test_concurrent_deliveries_confirm_once(world):
    order = await world.pending()
    await asyncio.gather(*(world.saga.finish(order) for _ in range(4)))
    assert world.orders.orders[order.id].version == 2


async def test_a_hold_of_an_old_generation_is_retried(world):
    order = await world.pending()
    world.orders.stock_generation = 1
    with pytest.raises(Unavailable):
        await world.saga.finish(order)
    assert world.state(order) is State.PENDING
    world.inventory.generation = 1
    await world.saga.finish(order)
    assert world.state(order) is State.CONFIRMED


class TestDeliveries:
    async def deliver(self, world, *messages, stage=0):
        await consumers.pending_orders(world.saga, PATH[stage], world.bus, patience_s=0)(list(messages))
        return [(record.topic, record.headers.get("reason")) for record in world.bus.records]

    @pytest.mark.parametrize("value", [b"\xff\xff garbage", b"", b"\x0a\x03abc"])
    async def test_an_invalid_message_is_dead_lettered_at_once_and_the_others_are_processed(self, world, value):
        order = await world.pending()
        gone = await self.deliver(world, message(None, value=value), message(order))
        assert gone == [("pending_orders.dead", "POISON_MESSAGE")]
        assert world.state(order) is State.CONFIRMED

    async def test_an_order_that_does_not_exist_is_a_dead_letter(self, world):
        wanted = draft()
        unknown = Order.confirmed(wanted, hold_for(wanted), datetime.now(UTC))
        assert await self.deliver(world, message(unknown)) == [("pending_orders.dead", "POISON_MESSAGE")]

    async def test_without_inventory_an_order_moves_through_the_retry_topics_and_stays_in_the_last(self, world):
        order = await world.pending()
        world.inventory.down = True
        assert await self.deliver(world, message(order)) == [("pending_orders.retry.0.2s", "INVENTORY_UNAVAILABLE")]
        gone = await self.deliver(world, message(order, age_s=9), stage=1)
        assert gone[1:] == [("pending_orders.retry.0.4s", "INVENTORY_UNAVAILABLE")]
        gone = await self.deliver(world, message(order, age_s=9), stage=2)
        assert gone[2:] == [("pending_orders.retry.0.4s", "INVENTORY_UNAVAILABLE")]
        assert world.state(order) is State.PENDING

    async def test_an_order_pending_for_too_long_is_dead_lettered_and_stays_pending(self, world):
        wanted = draft()
        order = Order.pending(wanted, datetime.now(UTC) - timedelta(seconds=61))
        await world.orders.place(Placement(order, Request.of(wanted)))
        world.inventory.down = True
        gone = await self.deliver(world, message(order, age_s=9), stage=2)
        assert gone == [("pending_orders.dead", "INVENTORY_UNAVAILABLE")]
        assert world.state(order) is State.PENDING

    async def test_an_internal_error_is_dead_lettered_after_the_last_retry_topic(self, world):
        order = await world.pending()

        async def broken(*_):
            raise KeyError("bug")

        world.inventory.hold = broken
        assert await self.deliver(world, message(order)) == [("pending_orders.retry.0.2s", "KeyError")]
        gone = await self.deliver(world, message(order, age_s=9), stage=2)
        assert gone[1:] == [("pending_orders.dead", "KeyError")]

    async def test_a_message_that_cannot_be_dead_lettered_is_not_committed(self, world):
        order = await world.pending()
        world.inventory.down = True
        world.bus.down = True
        with pytest.raises(Unavailable):
            await self.deliver(world, message(order))

    async def test_a_delayed_message_waits_for_its_time(self, world):
        order = await world.pending()
        world.inventory.answered_within = lambda _: False
        hold, started = world.inventory.hold, time.monotonic()

        async def refuse_for_a_while(*basket):
            if time.monotonic() - started < 0.35:
                raise Unavailable("away")
            return await hold(*basket)

        world.inventory.hold = refuse_for_a_while
        await self.deliver(world, message(order), stage=2)
        assert 0.33 < time.monotonic() - started < 0.6
        assert world.state(order) is State.CONFIRMED

    async def test_a_delayed_message_is_processed_at_once_when_inventory_is_back(self, world):
        order = await world.pending()
        started = time.monotonic()
        await self.deliver(world, message(order), stage=2)
        assert time.monotonic() - started < 0.2
        assert world.state(order) is State.CONFIRMED

    async def test_clock_skew_does_not_delay_a_message_beyond_its_limit(self, world):
        order = await world.pending()
        world.inventory.down = True
        started = time.monotonic()
        await self.deliver(world, message(order, age_s=-3600), stage=1)
        assert time.monotonic() - started < 1


class TestTheWaitOfARetryTopic:
    """100 s, in which inventory is asked every second."""

    STAGE = saga.Stage("pending_orders.retry.100s", 100)

    @pytest.fixture
    def world(self):
        world = World()
        world.inventory.answered_within = lambda _: False
        world.saga = saga.Saga(
            world.orders, world.inventory, [*PATH, self.STAGE], give_up_s=60, wait=tenacity.wait_none(), probe_s=1
        )
        return world

    async def waited(self, world, *messages):
        async def handle(_):
            pass

        began = time.monotonic()
        await world.saga.delayed(self.STAGE)(handle)(messages)
        return time.monotonic() - began

    async def test_it_ends_when_the_newest_message_is_due(self, world):
        order = await world.pending()
        world.inventory.down = True
        assert 69 < await self.waited(world, message(order, age_s=60), message(order, age_s=30)) < 71
        assert await self.waited(world, message(order, age_s=101)) < 1

    async def test_inventory_that_answers_others_is_not_asked(self, world):
        order = await world.pending()
        world.inventory.answered_within = lambda _: True
        assert await self.waited(world, message(order)) < 2
        assert not world.inventory.calls

    async def test_it_ends_when_inventory_holds_an_order(self, world):
        order = await world.pending()
        assert await self.waited(world, message(order)) < 2
        assert world.inventory.calls == [order.id]

    async def test_it_ends_when_inventory_refuses_an_order(self, world):
        order = await world.pending(quantity=11)
        assert await self.waited(world, message(order)) < 2

    async def test_invalid_messages_alone_do_not_wait(self, world):
        world.inventory.down = True
        assert await self.waited(world, message(None, value=b"garbage")) < 2

    async def test_inventory_is_asked_for_the_first_valid_message(self, world):
        order = await world.pending()
        world.inventory.down = True
        asyncio.get_running_loop().call_later(50, setattr, world.inventory, "down", False)
        assert 49 < await self.waited(world, message(None, value=b"garbage"), message(order)) < 52


def saga_at(world, time):
    """Return a saga whose clock stands at *time*."""
    return saga.Saga(world.orders, world.inventory, PATH, give_up_s=60, clock=lambda: time)


@pytest.mark.parametrize(("age_s", "topic"), [(59.999, PATH[2].topic), (60, "pending_orders.dead")])
async def test_an_order_is_given_up_when_it_is_as_old_as_that(world, age_s, topic):
    order = await world.pending()
    late = saga_at(world, order.update_time + timedelta(seconds=age_s))
    assert late.next_topic(PATH[2], message(order), Unavailable("away")) == topic


@pytest.mark.parametrize(("ahead_s", "counted"), [(0, 1.5), (10, 0)])
async def test_the_wait_of_an_order_is_measured_and_never_negative(world, ahead_s, counted):
    order = await world.pending()
    before = REGISTRY.get_sample_value("orders_saga_seconds_sum")
    await saga_at(world, order.create_time + timedelta(seconds=1.5 - ahead_s)).finish(order)
    assert REGISTRY.get_sample_value("orders_saga_seconds_sum") - before == pytest.approx(counted)


def test_the_first_stage_is_the_topic_itself():
    assert [stage.topic for stage in saga.stages([5, 30, 120])] == [
        "pending_orders",
        "pending_orders.retry.5s",
        "pending_orders.retry.30s",
        "pending_orders.retry.120s",
    ]


async def test_an_order_priced_in_two_currencies_is_rejected(world):
    wanted = Draft("ann", "k", (Line("products/tea", 1), Line("products/pot", 1)))
    order = Order.pending(wanted, datetime.now(UTC))
    await world.orders.place(Placement(order, Request.of(wanted)))
    world.inventory.stock["products/pot"] = 1
    world.inventory.prices["products/pot"] = Money("USD", 1)
    await world.saga.finish(order)
    assert world.orders.orders[order.id].state_reason == "MIXED_CURRENCIES"


async def test_an_order_whose_id_holds_another_basket_waits_for_that_lease(world):
    """The hold belongs to a call with the same key that was not stored."""
    wanted = Draft("ann", "k", (Line("products/tea", 1),))
    order = Order.pending(wanted, datetime.now(UTC))
    await world.orders.place(Placement(order, Request.of(wanted)))
    world.inventory.holds[order.id] = {"products/tea": 2}
    with pytest.raises(Unavailable):
        await world.saga.finish(order)
    assert world.orders.orders[order.id].state is State.PENDING
    del world.inventory.holds[order.id]
    await world.saga.finish(order)
    assert world.orders.orders[order.id].state is State.CONFIRMED


def test_event_ids_are_the_same_in_every_redelivery():
    wanted = draft()
    order = Order.pending(wanted, datetime.now(UTC))
    assert wire.pending_order(order).event_id == wire.pending_order(order).event_id
    assert uuid.UUID(wire.pending_order(order).event_id)
