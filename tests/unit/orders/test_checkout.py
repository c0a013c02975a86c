"""Placing, cancelling and fulfilling, with everything outside in memory."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from shop.orders.v1 import order_pb2

from orders_svc.checkout import Checkout
from orders_svc.order import (
    IdempotencyKeyReused,
    IllegalTransition,
    OperatorOnly,
    OrderChanged,
    OrderNotFound,
    State,
)
from runtime import deadline
from runtime.caller import Caller
from runtime.errors import FailedPrecondition, Unavailable
from tests.unit.orders.fakes import FakeInventory, FakeOrders
from tests.unit.orders.port_suite import draft

ANN, BOB, OPERATOR = Caller("ann"), Caller("bob"), Caller("op", operator=True)


@pytest.fixture
def orders():
    return FakeOrders()


@pytest.fixture
def inventory():
    return FakeInventory({"products/tea": 10})


@pytest.fixture
def checkout(orders, inventory):
    return Checkout(orders, inventory, hold_timeout_s=0.2)


def state(answer):
    return order_pb2.Order.State.Name(order_pb2.Order.FromString(answer.snapshot).state)


async def test_an_order_whose_stock_is_held_is_confirmed(checkout, inventory):
    answer = await checkout.place(draft(quantity=3))
    assert (state(answer), answer.http_code) == ("CONFIRMED", 201)
    assert inventory.stock["products/tea"] == 7


async def test_stock_that_is_not_there_is_an_error_and_nothing_is_stored(checkout, orders):
    with pytest.raises(FailedPrecondition) as refused:
        await checkout.place(draft(quantity=11))
    assert refused.value.reason == "OUT_OF_STOCK"
    assert not orders.orders
    assert not orders.keys


async def test_without_inventory_the_order_waits(checkout, inventory, orders):
    inventory.down = True
    answer = await checkout.place(draft())
    assert (state(answer), answer.http_code) == ("PENDING", 202)
    assert [row.topic for row in orders.events] == ["order_events", "pending_orders"]


async def test_an_inventory_that_hangs_costs_its_share_of_the_time_only(checkout, inventory):
    async def hang(_):
        await asyncio.sleep(60)

    inventory.before_answer = hang
    started = asyncio.get_running_loop().time()
    assert state(await checkout.place(draft())) == "PENDING"
    assert asyncio.get_running_loop().time() - started < 0.5


async def test_the_hold_takes_a_share_of_a_short_deadline_and_leaves_the_rest_to_the_commit(orders, inventory):
    async def hang(_):
        await asyncio.sleep(60)

    inventory.before_answer = hang
    checkout = Checkout(orders, inventory, hold_timeout_s=10)
    with deadline.ends_in(2):
        assert state(await checkout.place(draft())) == "PENDING"


async def test_the_key_is_looked_up_before_anything_is_asked_of_inventory(checkout, inventory):
    wanted = draft()
    first = await checkout.place(wanted)
    inventory.down = True
    again = await checkout.place(wanted)
    assert (again.snapshot, again.http_code, again.replayed) == (first.snapshot, 201, True)
    assert len(inventory.calls) == 1


async def test_a_pending_answer_is_replayed_as_it_was(checkout, inventory):
    inventory.down = True
    wanted = draft()
    first = await checkout.place(wanted)
    inventory.down = False
    again = await checkout.place(wanted)
    assert (again.snapshot, again.http_code) == (first.snapshot, 202)


async def test_a_key_with_another_basket_is_refused(checkout, inventory):
    await checkout.place(draft("k", quantity=1))
    with pytest.raises(IdempotencyKeyReused):
        await checkout.place(draft("k", quantity=2))
    assert inventory.stock["products/tea"] == 9


async def test_a_key_of_another_method_is_refused(checkout):
    order = order_pb2.Order.FromString((await checkout.place(draft("k"))).snapshot)
    with pytest.raises(IdempotencyKeyReused):
        await checkout.cancel(ANN, uuid.UUID(order.name[7:]), request_id="k")


async def test_two_at_once_with_one_key_are_one_order_and_one_hold(checkout, inventory, orders):
    wanted = draft()
    answers = await asyncio.gather(*(checkout.place(wanted) for _ in range(10)))
    assert len({answer.snapshot for answer in answers}) == 1
    assert len(orders.orders) == 1
    assert inventory.stock["products/tea"] == 8


async def test_a_hold_of_an_old_generation_makes_the_order_wait(checkout, orders):
    orders.stock_generation = 1
    answer = await checkout.place(draft())
    message = order_pb2.Order.FromString(answer.snapshot)
    assert (state(answer), message.state_reason, answer.http_code) == ("PENDING", "HOLD_LAPSED", 202)


async def test_a_hold_that_is_about_to_end_makes_the_order_wait(checkout, inventory):
    inventory.lease = timedelta(seconds=1)
    assert state(await checkout.place(draft())) == "PENDING"


async def test_a_lost_database_is_told_as_worth_a_repeat(checkout, orders):
    orders.down = True
    with pytest.raises(Unavailable) as raised:
        await checkout.place(draft())
    assert raised.value.retry_after_s


async def test_a_database_that_hangs_is_told_within_the_deadline(checkout, orders):
    async def hang(_):
        await asyncio.sleep(60)

    orders.place = hang
    with deadline.ends_in(1):
        with pytest.raises(Unavailable) as raised:
            await checkout.place(draft())
        assert deadline.remaining_s(0) > 0
    assert raised.value.retry_after_s


async def test_what_a_caller_leaves_after_the_hold_is_finished(checkout, inventory, orders):
    held = asyncio.Event()

    async def pause(_):
        held.set()
        await asyncio.sleep(0.1)

    inventory.before_answer = pause
    call = asyncio.create_task(checkout.place(draft()))
    await held.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await checkout.finish()
    assert [order.state for order in orders.orders.values()] == [State.CONFIRMED]


async def test_a_caller_that_leaves_before_the_hold_starts_nothing(checkout, inventory, orders):
    async def wait(_):
        await asyncio.sleep(60)

    orders.find_answer = wait
    call = asyncio.create_task(checkout.place(draft()))
    await asyncio.sleep(0.02)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await checkout.finish()
    assert inventory.calls == []


class TestMoves:
    @pytest.fixture
    async def order_id(self, checkout):
        wanted = draft()
        await checkout.place(wanted)
        return wanted.order_id

    async def test_a_cancelled_order_is_told_again_for_the_same_key(self, checkout, order_id, orders):
        first = await checkout.cancel(ANN, order_id, request_id="c")
        again = await checkout.cancel(ANN, order_id, request_id="c")
        assert (again.snapshot, again.replayed) == (first.snapshot, True)
        assert orders.orders[order_id].version == 2

    async def test_a_final_order_is_not_cancelled_again(self, checkout, order_id):
        await checkout.cancel(ANN, order_id)
        with pytest.raises(IllegalTransition):
            await checkout.cancel(ANN, order_id)

    async def test_somebody_elses_order_does_not_exist(self, checkout, order_id):
        for move in (checkout.cancel(BOB, order_id), checkout.get(BOB, order_id)):
            with pytest.raises(OrderNotFound):
                await move
        assert (await checkout.get(OPERATOR, order_id)).id == order_id

    async def test_only_operators_fulfil(self, checkout, order_id):
        with pytest.raises(OperatorOnly):
            await checkout.fulfil(ANN, order_id)
        assert state(await checkout.fulfil(OPERATOR, order_id)) == "FULFILLED"

    async def test_an_etag_of_before_is_refused(self, checkout, order_id):
        with pytest.raises(OrderChanged):
            await checkout.cancel(ANN, order_id, etag='"other"')

    async def test_a_move_that_loses_a_race_looks_again(self, checkout, order_id, orders):
        """Between the cancel's read and its write the order is fulfilled."""
        get = orders.get

        async def get_then_fulfil(asked):
            order = await get(asked)
            orders.get = get
            await checkout.fulfil(OPERATOR, asked)
            return order

        orders.get = get_then_fulfil
        with pytest.raises(IllegalTransition) as refused:
            await checkout.cancel(ANN, order_id)
        assert refused.value.metadata["state"] == "FULFILLED"

    async def test_cancels_at_once_with_one_key_have_one_answer(self, checkout, order_id):
        answers = await asyncio.gather(*(checkout.cancel(ANN, order_id, request_id="c") for _ in range(5)))
        assert len({answer.snapshot for answer in answers}) == 1
