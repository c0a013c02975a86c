"""Placing, cancelling and fulfilling orders, on fakes of the ports."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from shop.orders.v1 import events_pb2, order_pb2
from structlog.testing import capture_logs

from orders_svc.api import http_code
from orders_svc.checkout import Checkout
from orders_svc.order import Draft, Line, State
from orders_svc.ports import Fenced, Stale, Unstorable
from orders_svc.refusals import (
    IllegalTransition,
    OrderBusy,
    OrderChanged,
    OrderNotFound,
    RequestInProgress,
    RequestRefused,
)
from runtime import deadline
from runtime.caller import Caller
from runtime.errors import FailedPrecondition, Unavailable
from runtime.money import MixedCurrencies, Money, TotalTooLarge
from runtime.refusals import IdempotencyKeyReused, OperatorOnly
from tests.support.fakes.orders import FakeInventory, FakeOrders
from tests.support.orders_port_suite import draft

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


def code(answer):
    return http_code(order_pb2.Order.FromString(answer.snapshot))


def state(answer):
    return order_pb2.Order.State.Name(order_pb2.Order.FromString(answer.snapshot).state)


async def test_an_order_whose_stock_is_held_is_confirmed(checkout, inventory):
    answer = await checkout.place(draft(quantity=3))
    assert (state(answer), code(answer)) == ("CONFIRMED", 201)
    assert inventory.stock["products/tea"] == 7


async def test_insufficient_stock_is_an_error_and_nothing_is_stored(checkout, orders):
    with pytest.raises(FailedPrecondition) as refused:
        await checkout.place(draft(quantity=11))
    assert refused.value.reason == "OUT_OF_STOCK"
    assert not orders.orders
    assert not orders.keys


async def test_without_inventory_the_order_is_pending(checkout, inventory, orders):
    inventory.down = True
    answer = await checkout.place(draft())
    assert (state(answer), code(answer)) == ("PENDING", 202)
    assert [row.topic for row in orders.events] == ["order_events", "pending_orders"]


async def test_a_hanging_inventory_uses_only_its_share_of_the_deadline(checkout, inventory):
    async def hang(_):
        await asyncio.sleep(60)

    inventory.before_answer = hang
    started = asyncio.get_running_loop().time()
    assert state(await checkout.place(draft())) == "PENDING"
    assert asyncio.get_running_loop().time() - started < 0.5


async def test_the_hold_uses_a_share_of_a_short_deadline(orders, inventory):
    async def hang(_):
        await asyncio.sleep(60)

    inventory.before_answer = hang
    checkout = Checkout(orders, inventory, hold_timeout_s=10)
    with deadline.ends_in(2):
        assert state(await checkout.place(draft())) == "PENDING"


async def test_the_idempotency_key_is_looked_up_before_the_hold(checkout, inventory):
    wanted = draft()
    first = await checkout.place(wanted)
    inventory.down = True
    again = await checkout.place(wanted)
    assert (again.snapshot, code(again), again.replayed) == (first.snapshot, 201, True)
    assert len(inventory.calls) == 1


async def test_a_pending_response_is_replayed_unchanged(checkout, inventory):
    inventory.down = True
    wanted = draft()
    first = await checkout.place(wanted)
    inventory.down = False
    again = await checkout.place(wanted)
    assert (again.snapshot, code(again)) == (first.snapshot, 202)


async def test_a_key_with_another_basket_is_refused(checkout, inventory):
    await checkout.place(draft("k", quantity=1))
    with pytest.raises(IdempotencyKeyReused):
        await checkout.place(draft("k", quantity=2))
    assert inventory.stock["products/tea"] == 9


async def test_a_key_of_another_method_is_refused(checkout):
    order = order_pb2.Order.FromString((await checkout.place(draft("k"))).snapshot)
    with pytest.raises(IdempotencyKeyReused):
        await checkout.cancel(ANN, uuid.UUID(order.name[7:]), request_id="k")


async def test_concurrent_requests_with_one_key_are_one_order_and_one_hold(checkout, inventory, orders):
    wanted = draft()
    answers = await asyncio.gather(*(checkout.place(wanted) for _ in range(10)))
    assert len({answer.snapshot for answer in answers}) == 1
    assert len(orders.orders) == 1
    assert inventory.stock["products/tea"] == 8


async def test_a_hold_of_an_old_generation_makes_the_order_pending(checkout, orders):
    orders.stock_generation = 1
    answer = await checkout.place(draft())
    message = order_pb2.Order.FromString(answer.snapshot)
    assert (state(answer), message.state_reason, code(answer)) == ("PENDING", "HOLD_LAPSED", 202)


async def test_a_hold_about_to_expire_makes_the_order_pending(checkout, inventory):
    inventory.lease = timedelta(seconds=1)
    assert state(await checkout.place(draft())) == "PENDING"


async def test_a_lost_database_is_a_retryable_error(checkout, orders):
    orders.down = True
    with pytest.raises(Unavailable) as raised:
        await checkout.place(draft())
    assert raised.value.retry_after_s


async def test_a_hanging_database_is_an_error_within_the_deadline(checkout, orders):
    async def hang(_):
        await asyncio.sleep(60)

    orders.place = hang
    with deadline.ends_in(1):
        with pytest.raises(Unavailable) as raised:
            await checkout.place(draft())
        assert deadline.remaining_s(0) > 0
    assert raised.value.retry_after_s == 1


async def test_a_call_cancelled_after_the_hold_is_completed(checkout, inventory, orders):
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


async def test_a_call_cancelled_before_the_hold_does_nothing(checkout, inventory, orders):
    async def wait(_):
        await asyncio.sleep(60)

    orders.find_answer = wait
    call = asyncio.create_task(checkout.place(draft()))
    await asyncio.sleep(0.02)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await checkout.finish()
    assert inventory.calls == []


async def test_the_reason_of_a_pending_order_is_logged(checkout, inventory):
    async def hang(_):
        await asyncio.sleep(60)

    inventory.before_answer = hang
    with capture_logs() as logged:
        await checkout.place(draft("slow"))
        inventory.down = True
        await checkout.place(draft("down"))
    assert [each["error"] for each in logged] == ["timeout", "inventory cannot be asked"]


@pytest.mark.parametrize(
    ("error", "events"), [(RuntimeError("a mistake"), ["abandoned_call_failed"]), (Unavailable("away"), [])]
)
async def test_a_cancelled_call_that_fails_is_logged_only_if_unexpected(checkout, inventory, orders, error, events):
    async def pause(_):
        await asyncio.sleep(0.05)

    async def fail(_):
        raise error

    inventory.before_answer, orders.place = pause, fail
    call = asyncio.create_task(checkout.place(draft()))
    await asyncio.sleep(0.02)
    call.cancel()
    with capture_logs() as logged:
        await asyncio.gather(call, return_exceptions=True)
        await checkout.finish()
        await asyncio.sleep(0)
    assert [each["event"] for each in logged] == events
    assert not checkout._running


class TestHoldsOfRefusedOrders:
    """An order that is refused after its hold was made leaves no hold."""

    async def test_two_currencies(self, checkout, inventory):
        inventory.stock["products/coffee"] = 10
        inventory.prices["products/coffee"] = Money("USD", 1)
        wanted = Draft("ann", "k", (Line("products/tea", 2), Line("products/coffee", 3)))
        with pytest.raises(MixedCurrencies):
            await checkout.place(wanted)
        assert inventory.stock == {"products/tea": 10, "products/coffee": 10}

    async def test_a_total_out_of_range(self, checkout, inventory):
        inventory.prices["products/tea"] = Money("EUR", (2**62) * 10**9)
        with pytest.raises(TotalTooLarge):
            await checkout.place(draft(quantity=2))
        assert inventory.stock == {"products/tea": 10}

    async def test_a_missing_price(self, checkout, inventory):
        hold = inventory.hold

        async def without_prices(order_id, lines):
            await hold(order_id, lines)
            return (await hold(order_id, lines)).__class__(0, {})

        inventory.hold = without_prices
        with pytest.raises(KeyError):
            await checkout.place(draft())
        assert inventory.stock == {"products/tea": 10}

    async def test_an_order_that_can_never_be_stored(self, checkout, inventory, orders):
        async def refuse(_):
            raise Unstorable("the order can't be stored")

        orders.place = refuse
        with pytest.raises(Unstorable):
            await checkout.place(draft("k"))
        assert inventory.stock == {"products/tea": 10}
        with pytest.raises(RequestRefused):
            await checkout.place(draft("k"))

    async def test_a_key_that_a_concurrent_cancel_used(self, checkout, inventory):
        first = await checkout.place(draft("first"))
        order_id = uuid.UUID(order_pb2.Order.FromString(first.snapshot).name[7:])

        async def cancel(_):
            inventory.before_answer = None
            await checkout.cancel(ANN, order_id, request_id="k")

        inventory.before_answer = cancel
        with pytest.raises(IdempotencyKeyReused):
            await checkout.place(draft("k", quantity=3))
        assert draft("k").order_id in inventory.released

    async def test_holds_that_cannot_be_released_are_left_to_their_lease(self, checkout, inventory):
        async def unreachable(_):
            raise Unavailable("inventory cannot be asked")

        inventory.release = unreachable
        inventory.prices["products/tea"] = Money("EUR", (2**62) * 10**9)
        with pytest.raises(TotalTooLarge):
            await checkout.place(draft(quantity=2))

    async def test_the_hold_of_an_order_with_an_unknown_commit_is_kept(self, checkout, inventory, orders):
        """The outcome of a commit whose response was lost is unknown."""

        async def lose(_):
            raise Unavailable("the orders' database does not answer", retry_after_s=1)

        orders.place = lose
        with pytest.raises(Unavailable):
            await checkout.place(draft(quantity=2))
        assert inventory.stock == {"products/tea": 8}


class TestOneKeyAtTheSameTime:
    async def test_another_basket_with_the_same_key_always_gets_the_same_error(self, checkout, inventory):
        """While the first call runs, in the same batch, and a second later."""
        entered, go = asyncio.Event(), asyncio.Event()

        async def wait(_):
            inventory.before_answer = None
            entered.set()
            await go.wait()

        inventory.before_answer = wait
        first = asyncio.create_task(checkout.place(draft("k", quantity=1)))
        await entered.wait()
        with pytest.raises(IdempotencyKeyReused) as meanwhile:
            await checkout.place(draft("k", quantity=2))
        go.set()
        await first
        with pytest.raises(IdempotencyKeyReused) as later:
            await checkout.place(draft("k", quantity=2))
        assert (meanwhile.value.message, meanwhile.value.metadata) == (later.value.message, later.value.metadata)

    async def test_a_rejection_beside_a_concurrent_success_returns_the_success(self, checkout, inventory):
        """Stock was added between the two holds, and the call that found it was faster."""
        real = inventory.hold

        async def refuse_when_the_other_is_done(order_id, lines):
            inventory.hold = real
            await checkout.place(draft("k", quantity=2))
            raise FailedPrecondition("not enough", reason="OUT_OF_STOCK")

        inventory.hold = refuse_when_the_other_is_done
        answer = await checkout.place(draft("k", quantity=2))
        assert answer.replayed
        assert state(answer) == "CONFIRMED"


class TestMoves:
    @pytest.fixture
    async def order_id(self, checkout):
        wanted = draft()
        await checkout.place(wanted)
        return wanted.order_id

    async def test_a_replayed_cancel_returns_the_cancelled_order(self, checkout, order_id, orders):
        first = await checkout.cancel(ANN, order_id, request_id="c")
        again = await checkout.cancel(ANN, order_id, request_id="c")
        assert (again.snapshot, again.replayed) == (first.snapshot, True)
        assert orders.orders[order_id].version == 2

    async def test_a_cancelled_order_releases_in_the_current_generation(self, checkout, order_id, orders):
        orders.stock_generation = 5
        await checkout.cancel(ANN, order_id)
        assert orders.orders[order_id].generation == 5

    async def test_an_order_without_a_hold_releases_nothing(self, checkout, inventory, orders):
        inventory.down, orders.stock_generation = True, 5
        wanted = draft("without stock")
        await checkout.place(wanted)
        await checkout.cancel(ANN, wanted.order_id)
        assert orders.orders[wanted.order_id].generation == 0

    async def test_a_transition_that_loses_every_race_is_a_retryable_error(self, checkout, order_id, orders):
        tries = []

        async def lose(*_):
            tries.append(1)
            raise Stale

        orders.save = lose
        with pytest.raises(OrderBusy) as raised:
            await checkout.cancel(ANN, order_id)
        assert (raised.value.retry_after_s, len(tries)) == (1, 5)

    async def test_a_final_order_cannot_be_cancelled(self, checkout, order_id):
        await checkout.cancel(ANN, order_id)
        with pytest.raises(IllegalTransition):
            await checkout.cancel(ANN, order_id)

    async def test_another_customers_order_is_not_found(self, checkout, order_id):
        for move in (checkout.cancel(BOB, order_id), checkout.get(BOB, order_id)):
            with pytest.raises(OrderNotFound):
                await move
        assert (await checkout.get(OPERATOR, order_id)).id == order_id

    async def test_only_operators_fulfil(self, checkout, order_id):
        with pytest.raises(OperatorOnly):
            await checkout.fulfil(ANN, order_id)
        assert state(await checkout.fulfil(OPERATOR, order_id)) == "FULFILLED"

    @pytest.mark.parametrize("move", ["cancel", "fulfil"])
    async def test_a_stale_etag_is_refused(self, checkout, order_id, orders, move):
        with pytest.raises(OrderChanged):
            await getattr(checkout, move)(OPERATOR, order_id, etag='"other"')
        assert orders.orders[order_id].state is State.CONFIRMED

    @pytest.mark.parametrize("move", ["cancel", "fulfil"])
    async def test_the_etag_is_part_of_the_idempotent_request(self, checkout, order_id, orders, move):
        change = getattr(checkout, move)
        etag = orders.orders[order_id].etag
        await change(OPERATOR, order_id, request_id="c", etag=etag)
        assert (await change(OPERATOR, order_id, request_id="c", etag=etag)).replayed
        with pytest.raises(IdempotencyKeyReused):
            await change(OPERATOR, order_id, request_id="c")

    async def test_a_transition_that_loses_a_race_is_retried(self, checkout, order_id, orders):
        """The order is fulfilled between the cancel's read and its write."""
        get = orders.get

        async def get_then_fulfil(order_id):
            order = await get(order_id)
            orders.get = get
            await checkout.fulfil(OPERATOR, order_id)
            return order

        orders.get = get_then_fulfil
        with pytest.raises(IllegalTransition) as refused:
            await checkout.cancel(ANN, order_id)
        assert refused.value.metadata["state"] == "FULFILLED"

    async def test_concurrent_cancels_with_one_key_have_one_response(self, checkout, order_id):
        answers = await asyncio.gather(*(checkout.cancel(ANN, order_id, request_id="c") for _ in range(5)))
        assert len({answer.snapshot for answer in answers}) == 1


@pytest.mark.parametrize(("down", "generation"), [(False, 4), (True, 0)])
async def test_an_order_that_never_had_a_hold_releases_nothing(orders, inventory, down, generation):
    orders.stock_generation = inventory.generation = 4
    inventory.down = down
    checkout = Checkout(orders, inventory, hold_timeout_s=0.2)
    placed = order_pb2.Order.FromString((await checkout.place(draft())).snapshot)
    await checkout.cancel(ANN, uuid.UUID(placed.name.removeprefix("orders/")))
    event = events_pb2.OrderEvent.FromString(orders.events[-1].value)
    assert (event.order.state, event.stock_generation) == (order_pb2.Order.CANCELLED, generation)


async def test_a_request_neither_stored_nor_found_is_in_progress(checkout, orders):
    async def fenced(placement):
        raise Fenced

    orders.place = fenced
    wanted = draft()
    with pytest.raises(RequestInProgress) as raised:
        await checkout.place(wanted)
    assert raised.value.metadata == {"request_id": wanted.request_id}
    assert raised.value.retry_after_s
