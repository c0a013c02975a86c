"""The test suite of the orders' store port; run on the fake and on PostgreSQL."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from shop.orders.v1 import order_pb2

from orders_svc.api import http_code
from orders_svc.order import Change, Draft, Hold, Line, Order, State, fingerprint
from orders_svc.ports import Fenced, KeyTaken, Placement, Request, Stale
from runtime.money import Money

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PRICE = Money("EUR", 1_990_000_001)


def draft(request_id=None, *, customer="ann", product="products/tea", quantity=2):
    return Draft(customer, request_id or uuid.uuid4().hex, (Line(product, quantity),))


def hold_for(wanted, generation=0):
    return Hold(generation, {line.product: PRICE for line in wanted.lines})


def confirmed(wanted, generation=0, lease=None):
    return Placement(Order.confirmed(wanted, hold_for(wanted, generation), AT), Request.of(wanted), lease)


def pending(wanted):
    return Placement(Order.pending(wanted, AT), Request.of(wanted))


def message(answer):
    return order_pb2.Order.FromString(answer.snapshot)


def request_to(method, order, key):
    return Request(order.customer, key, fingerprint(method, str(order.id)))


class OrdersPortSuite:
    """Subclasses have the fixtures `orders` and `raise_generation`."""

    async def test_a_placed_order_is_read_back_unchanged(self, orders):
        placement = confirmed(draft())
        await orders.place(placement)
        assert await orders.get(placement.order.id) == placement.order

    async def test_a_pending_order_is_read_back_without_prices(self, orders):
        placement = pending(draft())
        answer = await orders.place(placement)
        assert http_code(message(answer)) == 202
        assert await orders.get(placement.order.id) == placement.order

    async def test_an_unknown_order_is_none(self, orders):
        assert await orders.get(uuid.uuid4()) is None

    async def test_the_response_is_replayed_byte_for_byte(self, orders):
        wanted = draft()
        answer = await orders.place(confirmed(wanted))
        stored = await orders.find_answer(Request.of(wanted))
        assert (stored.answer.snapshot, http_code(message(stored.answer))) == (answer.snapshot, 201)
        assert stored.answer.replayed
        assert not answer.replayed

    async def test_the_replayed_response_is_that_of_the_first_call_after_later_transitions(self, orders):
        wanted = draft()
        placement = pending(wanted)
        answer = await orders.place(placement)
        await orders.save(Change(placement.order, placement.order.cancel(AT)))
        stored = await orders.find_answer(Request.of(wanted))
        assert stored.answer.snapshot == answer.snapshot

    async def test_the_second_of_two_orders_with_one_key_finds_the_first(self, orders):
        await orders.place(confirmed(draft("k")))
        with pytest.raises(KeyTaken) as taken:
            await orders.place(pending(draft("k")))
        assert http_code(message(taken.value.stored.answer)) == 201

    async def test_two_customers_may_use_the_same_key(self, orders):
        ann, bob = draft("k"), draft("k", customer="bob")
        await orders.place(confirmed(ann))
        await orders.place(confirmed(bob))
        assert ann.order_id != bob.order_id
        assert (await orders.get(bob.order_id)).customer == "bob"

    async def test_of_concurrent_orders_with_one_key_exactly_one_is_stored(self, orders):
        wanted = [draft("k", quantity=1 + n % 2) for n in range(20)]
        outcomes = await asyncio.gather(*(orders.place(confirmed(w)) for w in wanted), return_exceptions=True)
        assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
        assert all(isinstance(outcome, KeyTaken) for outcome in outcomes if isinstance(outcome, Exception))

    async def test_of_two_transitions_of_one_version_the_second_is_refused(self, orders):
        order = pending(draft())
        await orders.place(order)
        await orders.save(Change(order.order, order.order.cancel(AT)))
        with pytest.raises(Stale):
            await orders.save(Change(order.order, order.order.reject("OUT_OF_STOCK", AT)))
        now = await orders.get(order.order.id)
        assert (now.state, now.version) == (State.CANCELLED, 2)

    async def test_a_transition_with_a_key_is_replayed(self, orders):
        placement = confirmed(draft())
        await orders.place(placement)
        request = request_to("CancelOrder", placement.order, "c")
        answer = await orders.save(Change(placement.order, placement.order.cancel(AT)), request)
        stored = await orders.find_answer(request)
        assert stored.answer.snapshot == answer.snapshot
        assert message(answer).state == order_pb2.Order.CANCELLED

    async def test_a_transition_with_a_used_key_changes_nothing(self, orders):
        first, second = confirmed(draft("a")), confirmed(draft("b"))
        await orders.place(first)
        await orders.place(second)
        with pytest.raises(KeyTaken):
            await orders.save(
                Change(second.order, second.order.cancel(AT)), request_to("CancelOrder", second.order, "a")
            )
        assert (await orders.get(second.order.id)).state is State.CONFIRMED

    async def test_a_new_order_is_not_confirmed_on_a_hold_of_an_older_generation(self, orders, raise_generation):
        await raise_generation()
        old, new = confirmed(draft(), generation=0), confirmed(draft(), generation=1)
        with pytest.raises(Fenced):
            await orders.place(old)
        assert await orders.get(old.order.id) is None
        await orders.place(new)
        await orders.place(pending(draft()))

    async def test_a_pending_order_is_not_confirmed_on_a_hold_of_an_older_generation(self, orders, raise_generation):
        wanted = draft()
        placement = pending(wanted)
        await orders.place(placement)
        await raise_generation()
        with pytest.raises(Fenced):
            await orders.save(Change(placement.order, placement.order.confirm(hold_for(wanted), AT)))
        assert (await orders.get(wanted.order_id)).state is State.PENDING
        await orders.save(Change(placement.order, placement.order.confirm(hold_for(wanted, 1), AT)))
        assert (await orders.get(wanted.order_id)).generation == 1

    async def test_an_order_is_not_confirmed_on_a_hold_about_to_expire(self, orders):
        over = datetime.now(UTC) + timedelta(seconds=1)
        wanted = draft()
        with pytest.raises(Fenced):
            await orders.place(confirmed(wanted, lease=over))
        placement = pending(wanted)
        await orders.place(placement)
        with pytest.raises(Fenced):
            await orders.save(Change(placement.order, placement.order.confirm(hold_for(wanted), AT)), lease=over)
        long = datetime.now(UTC) + timedelta(minutes=1)
        await orders.save(Change(placement.order, placement.order.confirm(hold_for(wanted), AT)), lease=long)

    async def test_a_confirmed_order_is_cancelled_in_the_current_generation(self, orders, raise_generation):
        placement = confirmed(draft())
        await orders.place(placement)
        await raise_generation()
        with pytest.raises(Stale):
            await orders.save(Change(placement.order, placement.order.cancel(AT, generation=0)))
        assert (await orders.get(placement.order.id)).state is State.CONFIRMED
        now = await orders.generation()
        await orders.save(Change(placement.order, placement.order.cancel(AT, generation=now)))
        assert (await orders.get(placement.order.id)).generation == now == 1

    async def test_a_pending_order_is_cancelled_in_any_generation(self, orders, raise_generation):
        placement = pending(draft())
        await orders.place(placement)
        await raise_generation()
        await orders.save(Change(placement.order, placement.order.cancel(AT)))
        assert (await orders.get(placement.order.id)).generation == 0

    async def test_an_order_is_fulfilled_in_any_generation(self, orders, raise_generation):
        placement = confirmed(draft())
        await orders.place(placement)
        await raise_generation()
        await orders.save(Change(placement.order, placement.order.fulfil(AT)))
        assert (await orders.get(placement.order.id)).state is State.FULFILLED

    async def test_a_bad_order_does_not_fail_its_neighbours(self, orders):
        good = [confirmed(draft()) for _ in range(5)]
        taken = draft("k")
        await orders.place(confirmed(taken))
        outcomes = await asyncio.gather(
            *(orders.place(each) for each in [*good[:3], pending(taken), *good[3:]]), return_exceptions=True
        )
        assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, False, True, False, False]
        for each in good:
            assert await orders.get(each.order.id) is not None
