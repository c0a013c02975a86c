"""After a restore, who was erased since is erased again, as Kafka tells."""

import asyncio
import uuid
from datetime import UTC, datetime

import asyncpg
import pytest
import structlog

from orders_svc import customer_data, wire
from orders_svc.customer_data import PLACE_BYTES, CustomerData
from orders_svc.erase_again import ErasedAgain, erase_again, said, told_of
from orders_svc.order import ERASED, Change
from orders_svc.topics import ORDER_EVENTS
from runtime.errors import Unavailable
from runtime.messaging.message import Message
from runtime.page_token import PageTokens
from tests.support.customers_port_suite import LATER, cancelled, fulfilled
from tests.support.fakes.customers import FakeCustomers
from tests.support.fakes.orders import FakeOrders
from tests.support.orders_port_suite import confirmed, draft, pending


@pytest.fixture
def orders():
    return FakeOrders()


@pytest.fixture
def records(orders):
    return FakeCustomers(orders)


@pytest.fixture
def data(records):
    return CustomerData(records, PageTokens(b"key", method="ExportCustomer", place_bytes=PLACE_BYTES))


def message(value):
    return Message(ORDER_EVENTS, 0, 0, b"k", value, {}, 0)


def test_only_events_of_an_erasure_tell_of_one():
    order = pending(draft()).order.cancel(datetime(2026, 1, 1, tzinfo=UTC))
    erased = wire.customer_erased(order, LATER)
    nameless = wire.customer_erased(order, LATER)
    nameless.order.name = "orders/none"
    values = [
        wire.order_event(Change(None, order)).SerializeToString(),
        None,
        b"",
        b"\xff",
        nameless.SerializeToString(),
    ]
    assert told_of(message(each) for each in values) == set()
    assert told_of([message(erased.SerializeToString())] * 2) == {order.id}


async def test_whoever_an_order_belongs_to_again_is_erased_of_everything(data, records, orders):
    told = await fulfilled(orders)
    other = await cancelled(orders)
    kept = await fulfilled(orders, draft(customer="bob"))
    assert await erase_again(data, records, [told.id, uuid.uuid4()]) == ErasedAgain(erased=1, left=0)
    assert {orders.orders[each.id].customer for each in (told, other)} == {ERASED}
    assert orders.orders[kept.id].customer == "bob"
    assert [key for key in orders.keys if key[0] == "ann"] == []
    assert await erase_again(data, records, [told.id]) == ErasedAgain(erased=0, left=0)


async def test_a_large_customer_is_erased_whole(data, records, orders, monkeypatch):
    monkeypatch.setattr(customer_data, "SLICE", 2)
    monkeypatch.setattr(customer_data, "MAX_SLICES", 1)
    made = [await fulfilled(orders) for _ in range(7)]
    # They are pruned after a week.
    orders.keys.clear()
    assert await erase_again(data, records, [made[0].id]) == ErasedAgain(1, 0)
    assert {order.customer for order in orders.orders.values()} == {ERASED}


@pytest.mark.parametrize("placement", [confirmed, pending])
async def test_who_has_open_orders_again_is_left_and_the_others_are_erased(data, records, orders, placement):
    open_again = placement(draft())
    await orders.place(open_again)
    other = await fulfilled(orders, draft(customer="bob"))
    assert await erase_again(data, records, [open_again.order.id, other.id]) == ErasedAgain(erased=1, left=1)
    assert orders.orders[open_again.order.id].customer == "ann"
    assert orders.orders[other.id].customer == ERASED


async def test_what_makes_no_progress_is_given_up(data, records, orders):
    order = await fulfilled(orders)

    async def none(customer, **_):
        return 0

    records.erase_orders = records.erase_requests = none
    assert await erase_again(data, records, [order.id]) == ErasedAgain(0, 1)


async def test_a_database_that_is_away_leaves_who_it_was_asked_about(data, records, orders):
    order = await fulfilled(orders)

    async def away(customer):
        raise Unavailable("away")

    records.stored = away
    assert await erase_again(data, records, [order.id]) == ErasedAgain(0, 1)


async def test_an_error_of_one_leaves_them_and_erases_the_others_and_the_log_has_an_order(data, records, orders):
    order, other = await fulfilled(orders), await fulfilled(orders, draft(customer="bob"))
    erase = records.erase_orders

    async def corrupt(customer, *, at, limit):
        if customer == "ann":
            raise asyncpg.DataCorruptedError("ann's page is corrupt")
        return await erase(customer, at=at, limit=limit)

    records.erase_orders = corrupt
    with structlog.testing.capture_logs() as logs:
        assert await erase_again(data, records, [order.id, other.id]) == ErasedAgain(erased=1, left=1)
    (entry,) = (each for each in logs if each["event"] == "customer_not_erased_again")
    assert (entry["order"], entry["reason"]) == (order.name, "DataCorruptedError")
    assert "ann" not in repr(logs)


async def test_whoever_there_is_no_time_for_is_left(data, records, orders):
    made = [await fulfilled(orders, draft(customer=name)) for name in ("ann", "bob", "eve")]
    erase = records.erase_orders

    async def slow(customer, *, at, limit):
        await asyncio.sleep(20)
        return await erase(customer, at=at, limit=limit)

    records.erase_orders = slow
    ids = [each.id for each in made]
    assert await erase_again(data, records, ids, within_s=15) == ErasedAgain(erased=1, left=2)
    assert await erase_again(data, records, ids, within_s=70) == ErasedAgain(erased=2, left=0)


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1001])
async def test_orders_are_looked_up_in_pages(data, records, count):
    asked = []

    async def customers_of(ids):
        asked.append(ids)
        return {}

    records.customers_of = customers_of
    ids = [uuid.UUID(int=n) for n in range(count)]
    await erase_again(data, records, ids)
    assert [each for page in asked for each in page] == ids
    assert max((len(page) for page in asked), default=0) <= 500


def test_it_is_said_in_words():
    assert said(ErasedAgain(2, 0)) == "2 customers erased again"
    assert said(ErasedAgain(0, 1)) == "0 customers erased again; 1 could not be: erase them by hand, " + (
        "customer_not_erased_again in the log has an order of each"
    )
