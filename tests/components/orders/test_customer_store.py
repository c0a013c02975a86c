"""What is stored about customers, on a real PostgreSQL: exported, and erased from every table."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from shop.orders.v1 import events_pb2

from orders_svc import customer_store
from orders_svc.checkout import Checkout
from orders_svc.customer_data import PLACE_BYTES, CustomerData
from orders_svc.customer_store import CustomerStore
from orders_svc.operations_ports import StoredCounts
from orders_svc.operations_store import OperationsStore
from orders_svc.order import ERASED, Change, Line
from orders_svc.ports import Request
from orders_svc.refusals import EventsWaiting
from orders_svc.store import Store
from runtime import spans
from runtime.caller import Caller
from runtime.notifier import Notifier
from runtime.page_token import PageTokens
from tests.support.customers_port_suite import LATER, cancelled, fulfilled
from tests.support.fakes.orders import FakeInventory
from tests.support.orders_port_suite import AT, confirmed, draft, pending, request_to
from tests.support.postgres_suites import CustomersOnPostgres

OTTO = Caller("otto", operator=True)
NAME = "zoe smith@example.org"
"""A subject that is spelled otherwise in the name of the customer, and that nothing else has in it."""
SAMPLED = trace.set_span_in_context(
    trace.NonRecordingSpan(trace.SpanContext(7, 7, is_remote=True, trace_flags=trace.TraceFlags(1)))
)
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture
def orders(pool):
    return Store(pool, Notifier(pool), replica="orders-7")


@pytest.fixture
def records(pool):
    return CustomerStore(pool)


@pytest.fixture
def data(records):
    return CustomerData(records, PageTokens(b"key", method="ExportCustomer", place_bytes=PLACE_BYTES))


class TestCustomerStore(CustomersOnPostgres):
    pass


async def traces_of(pool, *texts):
    """Return in which tables a row has one of *texts* in any column, bytes included."""
    found = []
    for (table,) in await pool.fetch(TABLES):
        rows = await pool.fetch(f'SELECT * FROM "{table}"')
        words = [*texts, *(text.encode() for text in texts)]
        values = [value for row in rows for value in row.values()]
        if any(type(value) is type(word) and word in value for value in values for word in words):
            found.append(table)
    return sorted(found)


async def test_no_table_has_the_name_after_an_erasure_and_every_one_had_before(orders, pool, data):
    await fulfilled(orders, draft("a", customer=NAME))
    await cancelled(orders, draft("b", customer=NAME), key="c")
    await pool.execute("UPDATE outbox SET refused = 'too large' WHERE id IN (SELECT id FROM outbox LIMIT 2)")
    spelled = (NAME, "zoe%20smith@example.org")
    assert await traces_of(pool, *spelled) == ["idempotency_keys", "order_changes", "orders", "outbox"]
    erased = await data.erase(OTTO, "customers/zoe%20smith@example.org", reference="")
    assert (erased.orders, erased.requests, erased.done) == (2, 3, True)
    assert await traces_of(pool, *spelled) == []


async def test_what_orders_own_and_cost_is_the_same_and_as_counted(orders, pool, records):
    await fulfilled(orders, draft(quantity=3))
    await fulfilled(orders, draft(customer="bob", quantity=5))
    await cancelled(orders)
    sums = "SELECT state::text, count(*), sum(total), sum(version) FROM orders GROUP BY state ORDER BY 1"
    books = OperationsStore(pool)
    before = await pool.fetch(sums), await books.sold()
    assert await records.erase_orders("ann", at=LATER, limit=9) == 2
    assert (await pool.fetch(sums), await books.sold()) == before
    assert await books.sold() == {"products/tea": 8}
    assert await books.miscounted() == []


async def test_a_repeat_of_an_erased_order_gets_its_answer_and_no_second_order(orders, pool, data):
    wanted = draft("k")
    order = await cancelled(orders, wanted)
    await data.erase(OTTO, "customers/ann", reference="")
    stored = await orders.find_answer(Request.of(wanted))
    assert stored.fingerprint == wanted.fingerprint
    answer = await Checkout(orders, FakeInventory({"products/tea": 9}), hold_timeout_s=1).place(wanted)
    assert answer.replayed
    assert order.name.encode() in answer.snapshot
    assert b"ann" not in answer.snapshot
    assert await pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_the_timeline_has_every_version_its_replica_and_its_trace(orders, pool, records):
    order = await cancelled(orders)
    await pool.execute("UPDATE order_changes SET trace_id = '\\x0af7651916cd43dd8448eb211c80319c'")
    books = OperationsStore(pool)
    before = await books.versions(order.id)
    assert await records.versions_of([order.id]) == {order.id: before}
    await records.erase_orders("ann", at=LATER, limit=9)
    after = await books.versions(order.id)
    assert [(v.version, v.replica, v.trace_id) for v in after] == [(v.version, v.replica, v.trace_id) for v in before]
    assert before[0].replica == "orders-7"
    assert before[0].trace_id == "0af7651916cd43dd8448eb211c80319c"


async def test_two_operators_at_once_erase_each_order_once(orders, pool, data):
    for _ in range(30):
        await fulfilled(orders)
    outcomes = await asyncio.gather(*(data.erase(OTTO, "customers/ann", reference="") for _ in range(4)))
    assert sum(each.orders for each in outcomes) == 30
    assert sum(each.requests for each in outcomes) == 30
    events = [row["value"] for row in await pool.fetch("SELECT value FROM outbox WHERE topic = 'order_events'")]
    assert len(events) == 90
    assert (await data.count("customers/ann")).done


async def test_an_order_that_another_transaction_has_is_left_for_a_repeat(orders, pool, records, data):
    first, _ = await fulfilled(orders), await fulfilled(orders)
    async with pool.acquire() as session, session.transaction():
        await session.execute("SELECT * FROM orders WHERE order_id = $1 FOR UPDATE", first.id)
        erased = await asyncio.wait_for(data.erase(OTTO, "customers/ann", reference=""), 10)
        assert (erased.orders, erased.left, erased.done) == (1, StoredCounts(0, 1, 0), False)
    assert (await data.erase(OTTO, "customers/ann", reference="")).done


async def test_nothing_is_erased_while_the_outbox_is_long(orders, pool, records, data, monkeypatch):
    await fulfilled(orders)
    count = await pool.fetchval("SELECT count(*) FROM outbox")
    monkeypatch.setattr(customer_store, "MAX_WAITING", count - 1)
    with pytest.raises(EventsWaiting):
        await data.erase(OTTO, "customers/ann", reference="")
    assert await records.stored("ann") == StoredCounts(0, 1, 1)
    monkeypatch.setattr(customer_store, "MAX_WAITING", count)
    assert (await data.erase(OTTO, "customers/ann", reference="")).done


async def test_events_of_one_erasure_have_no_trace_and_the_day_only(orders, pool, data):
    for _ in range(2):
        await fulfilled(orders)
    with trace.get_tracer("t").start_as_current_span("erase", context=SAMPLED):
        assert spans.trace_headers()
        await data.erase(OTTO, "customers/ann", reference="")
    events = await pool.fetch("SELECT value, headers FROM outbox ORDER BY id DESC LIMIT 2")
    assert [json.loads(row["headers"]) for row in events] == [{}, {}]
    times = [events_pb2.OrderEvent.FromString(row["value"]).customer_erase_time for row in events]
    assert [each.seconds % 86400 for each in times] == [each.nanos for each in times] == [0, 0]


async def test_a_slice_that_fails_changes_nothing(orders, pool, records, monkeypatch):
    order = await fulfilled(orders)
    monkeypatch.setattr("orders_svc.sql.NOTIFY", "SELECT 1 / 0, $1")
    with pytest.raises(Exception, match="division by zero"):
        await records.erase_orders("ann", at=LATER, limit=9)
    assert (await orders.get(order.id)).customer == "ann"
    assert b"ann" in (await records.versions_of([order.id]))[order.id][0].snapshot
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 2


async def test_an_order_of_a_hundred_lines_is_erased_and_exported(orders, records, data):
    wanted = draft()
    wanted = type(wanted)("ann", "big", tuple(Line(f"products/{'x' * 50}-{n}", 1000) for n in range(100)))
    order = await fulfilled(orders, wanted)
    page = await data.export(OTTO, "customers/ann", size=1, token="")
    assert len(page.orders[0].lines) == 100
    await records.erase_orders("ann", at=LATER, limit=1)
    assert (await orders.get(order.id)).lines == order.lines


MANY = 20_000
FILL = """
INSERT INTO orders (order_id, customer, state, state_reason, lines, currency, total, generation, version,
                    create_time, update_time)
SELECT md5('o' || n)::uuid, CASE n % 10 WHEN 0 THEN 'ann' ELSE 'c' || n END, 'FULFILLED', '', $2::jsonb, 'EUR', 3, 0, 1,
       $3::timestamptz - n * interval '1 s', $3 FROM generate_series(1, $1) AS n
"""
FILL_CHANGES = "INSERT INTO order_changes (order_id, version, snapshot) SELECT order_id, 1, '' FROM orders"


async def test_a_slice_reads_no_more_with_many_orders_than_with_few(pool, records):
    """By the pages that a slice touches, which is what makes it slow, and not by time."""
    lines = json.dumps([{"product": "products/tea", "quantity": 1}])
    await pool.execute(FILL, MANY, lines, datetime(2026, 1, 1, tzinfo=UTC))
    await pool.execute(FILL_CHANGES)
    touched = []
    for _ in range(4):
        before = await pages(pool)
        assert await records.erase_orders("ann", at=LATER, limit=100) == 100
        touched.append(await pages(pool) - before)
    # 2,000 orders of the customer among 20,000: a look at all of either would be several times as much.
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {PLAN}", "ann", 100))
    assert "Seq Scan" not in plan, plan
    assert touched[3] < 2 * touched[1], touched


PLAN = "SELECT order_id FROM orders WHERE customer = $1 AND state IN ('REJECTED', 'CANCELLED', 'FULFILLED') LIMIT $2"
PAGES = """
SELECT pg_stat_force_next_flush(), (SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)
    FROM pg_statio_user_tables WHERE relname IN ('orders', 'order_changes'))::bigint AS pages
"""


async def pages(pool):
    """Return how many pages of the two tables were asked for until now, once every session has said so."""
    for connection in [await pool.acquire() for _ in range(pool.get_size())]:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await pool.release(connection)
    return (await pool.fetchrow(PAGES))["pages"]


async def test_a_cancellation_under_way_is_not_lost(orders, records, pool):
    """The order was open when it was counted; whatever comes first, it ends as one or the other."""
    placement = confirmed(draft())
    await orders.place(placement)
    done = placement.order.cancel(AT)
    await asyncio.gather(
        orders.save(Change(placement.order, done), request_to("CancelOrder", done, "c")),
        records.erase_orders("ann", at=LATER, limit=9),
    )
    found = await orders.get(done.id)
    assert found.state == done.state
    assert found.customer in {"ann", ERASED}
    await records.erase_orders("ann", at=LATER, limit=9)
    assert (await orders.get(done.id)).customer == ERASED


async def test_a_pending_order_is_finished_while_its_customer_is_erased_of_others(orders, records):
    await fulfilled(orders)
    placement = pending(draft())
    await orders.place(placement)
    await records.erase_orders("ann", at=LATER, limit=9)
    await orders.save(Change(placement.order, placement.order.reject("OUT_OF_STOCK", AT)))
    assert await records.stored("ann") == StoredCounts(0, 1, 2)
