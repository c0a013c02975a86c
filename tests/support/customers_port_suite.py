"""The test suite of the port of what is stored about customers; run on the fake and on PostgreSQL."""

import uuid
from datetime import UTC, datetime, timedelta

from shop.orders.v1 import events_pb2, order_pb2

from orders_svc.operations_ports import Remembered, StoredCounts
from orders_svc.order import ERASED, Change, State
from orders_svc.ports import Request
from orders_svc.topics import ORDER_EVENTS
from tests.support.orders_port_suite import AT, confirmed, draft, message, pending, request_to

NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), uuid.UUID(int=2**128 - 1))
LATER = AT + timedelta(days=1)
DAY = LATER.replace(hour=0, minute=0, second=0, microsecond=0)
NOBODY = "customers/%20erased"


async def fulfilled(orders, wanted=None):
    """Place an order and hand it over; return what it came to."""
    placement = confirmed(wanted or draft())
    await orders.place(placement)
    done = placement.order.fulfil(AT)
    await orders.save(Change(placement.order, done))
    return done


async def cancelled(orders, wanted=None, key=None):
    """Place an order without stock and cancel it; return what it came to."""
    placement = pending(wanted or draft())
    await orders.place(placement)
    done = placement.order.cancel(AT)
    await orders.save(Change(placement.order, done), request_to("CancelOrder", done, key) if key else None)
    return done


class CustomersPortSuite:
    """Subclasses have the fixtures `orders`, `records` and `published`: the outbox's topics and values."""

    async def test_what_is_stored_about_a_customer_is_counted(self, orders, records):
        await cancelled(orders, draft("a"), key="b")
        await fulfilled(orders)
        await orders.place(confirmed(draft()))
        await orders.place(confirmed(draft(customer="bob")))
        assert await records.stored("ann") == StoredCounts(open=1, final=2, requests=4)
        assert await records.stored("nobody") == StoredCounts(0, 0, 0)

    async def test_open_orders_are_counted(self, orders, records):
        await cancelled(orders)
        await fulfilled(orders)
        await orders.place(confirmed(draft()))
        await orders.place(pending(draft()))
        await orders.place(pending(draft(customer="bob")))
        assert (await records.open("ann"), await records.open("nobody")) == (2, 0)

    async def test_orders_come_newest_first_and_go_on_after_the_last(self, orders, records):
        made = [await fulfilled(orders) for _ in range(5)]
        await fulfilled(orders, draft(customer="bob"))
        first = await records.orders("ann", before=NEWEST, limit=3)
        second = await records.orders("ann", before=(first[-1].create_time, first[-1].id), limit=3)
        assert [each.id for each in first + second] == sorted((each.id for each in made), reverse=True)
        assert first[0].state is State.FULFILLED

    async def test_an_order_has_all_its_versions(self, orders, records):
        order, other = await cancelled(orders), await fulfilled(orders)
        versions = await records.versions_of([order.id, other.id])
        assert [each.version for each in versions[order.id]] == [1, 2]
        states = [order_pb2.Order.FromString(each.snapshot).state for each in versions[order.id]]
        assert states == [order_pb2.Order.PENDING, order_pb2.Order.CANCELLED]
        assert len(versions[other.id]) == 2

    async def test_who_placed_orders_is_told_once_each_and_without_nobody(self, orders, records):
        made = [await fulfilled(orders, draft(customer=name)) for name in ("ann", "ann", "bob", "eve")]
        await records.erase_orders("eve", at=LATER, limit=9)
        ids = [*(each.id for each in made), uuid.uuid4()]
        found = await records.customers_of(ids)
        assert sorted(found) == ["ann", "bob"]
        assert found["bob"] == made[2].id
        assert found["ann"] in {made[0].id, made[1].id}
        assert await records.customers_of([]) == {}

    async def test_requests_come_by_their_ids_and_go_on_after_the_last(self, orders, records):
        order = await cancelled(orders, draft("b"), key="c")
        await fulfilled(orders, draft("a"))
        await fulfilled(orders, draft("z", customer="bob"))
        found = await records.requests("ann", after="", limit=9)
        assert [each.request_id for each in found] == ["a", "b", "c"]
        assert found[1:] == [Remembered("b", order.id, 1, AT), Remembered("c", order.id, 2, AT)]
        assert await records.requests("ann", after="a", limit=1) == [found[1]]

    async def test_final_orders_are_given_to_nobody_and_stay_as_they_are(self, orders, records):
        order = await fulfilled(orders)
        assert await records.erase_orders("ann", at=LATER, limit=9) == 1
        found = await orders.get(order.id)
        assert found.customer == ERASED
        assert (found.lines, found.total, found.state, found.version) == (order.lines, order.total, order.state, 2)
        assert (found.create_time, found.update_time, found.etag) == (order.create_time, order.update_time, order.etag)

    async def test_open_orders_and_those_of_others_are_left(self, orders, records):
        for placement in (confirmed(draft()), pending(draft())):
            await orders.place(placement)
        other = await fulfilled(orders, draft(customer="bob"))
        assert await records.erase_orders("ann", at=LATER, limit=9) == 0
        assert await records.stored("ann") == StoredCounts(open=2, final=0, requests=2)
        assert (await orders.get(other.id)).customer == "bob"

    async def test_no_version_names_the_customer_and_nothing_else_of_it_changes(self, orders, records):
        order = await cancelled(orders)
        before = (await records.versions_of([order.id]))[order.id]
        await records.erase_orders("ann", at=LATER, limit=9)
        after = (await records.versions_of([order.id]))[order.id]
        for old, new in zip(before, after, strict=True):
            expected = order_pb2.Order.FromString(old.snapshot)
            assert expected.customer == "customers/ann"
            expected.customer = NOBODY
            assert order_pb2.Order.FromString(new.snapshot) == expected

    async def test_unpublished_events_do_not_name_the_customer_and_the_last_one_tells_of_the_erasure(
        self, orders, records, published
    ):
        order, other = await cancelled(orders), await fulfilled(orders, draft(customer="bob"))
        await records.erase_orders("ann", at=LATER, limit=9)
        values = [value for _, value in await published() if order.name.encode() in value]
        assert len(values) == 4
        assert not any(b"customers/ann" in value for value in values)
        event = events_pb2.OrderEvent.FromString(values[-1])
        assert event.customer_erase_time.ToDatetime(UTC) == DAY
        assert (event.order.customer, event.order.version) == (NOBODY, order.version)
        assert event.previous_state == event.order.state == order_pb2.Order.CANCELLED
        assert event.occur_time.ToDatetime(UTC) == order.update_time
        assert any(b"customers/bob" in value for _, value in await published() if other.name.encode() in value)

    async def test_every_event_of_an_order_has_an_id_of_its_own(self, orders, records, published):
        await cancelled(orders)
        await records.erase_orders("ann", at=LATER, limit=9)
        events = [
            events_pb2.OrderEvent.FromString(v).event_id for topic, v in await published() if topic == ORDER_EVENTS
        ]
        assert len(set(events)) == len(events) == 3

    async def test_an_erasure_is_done_in_slices_and_once(self, orders, records):
        for _ in range(5):
            await fulfilled(orders)
        counts = [await records.erase_orders("ann", at=LATER, limit=2) for _ in range(4)]
        assert counts == [2, 2, 1, 0]

    async def test_requests_are_forgotten_in_slices_and_those_of_others_are_kept(self, orders, records):
        for _ in range(3):
            await fulfilled(orders)
        other = draft(customer="bob")
        await fulfilled(orders, other)
        assert [await records.erase_requests("ann", limit=2) for _ in range(3)] == [2, 1, 0]
        assert await records.requests("ann", after="", limit=9) == []
        assert await orders.find_answer(Request.of(other)) is not None

    async def test_a_customer_may_have_any_name_that_a_token_may_have(self, orders, records):
        name = "'; DROP TABLE orders; -- %00 \\ \"" + "x" * 222
        order = await fulfilled(orders, draft(customer=name))
        assert await records.stored(name) == StoredCounts(0, 1, 1)
        assert await records.erase_orders(name, at=LATER, limit=1) == 1
        assert await records.erase_requests(name, limit=1) == 1
        assert await records.stored(name) == StoredCounts(0, 0, 0)
        assert message_of(await records.versions_of([order.id])).customer == NOBODY


def message_of(versions):
    """Return the last version of the only order."""
    ((*_, last),) = versions.values()
    return message(last)
