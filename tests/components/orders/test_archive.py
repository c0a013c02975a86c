"""The archive, on a real PostgreSQL: old final orders move there, are found there, and go by whole months."""

import asyncio
import json
import os
import statistics
import time
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import yaml

from chaos import truth
from orders_svc import migrations, sql
from orders_svc.allocation_store import AllocationStore
from orders_svc.archive import BATCH, Archive
from orders_svc.changes import ChangeFeed
from orders_svc.checkout import Checkout
from orders_svc.customer_store import CustomerStore
from orders_svc.listing import NEWEST, Listing
from orders_svc.operations_store import OperationsStore
from orders_svc.order import Change, State
from orders_svc.ports import Request
from orders_svc.refusals import IllegalTransition
from orders_svc.schedule import ARCHIVE_OVERDUE, forget_archived, move_to_archive
from orders_svc.store import Store
from orders_svc.watch import Subscriptions
from runtime import database
from runtime.caller import Caller
from runtime.errors import NotFound, Unavailable
from runtime.notifier import Notifier
from runtime.page_token import PageTokens
from stores import files
from tests.support.customers_port_suite import LATER, cancelled, fulfilled
from tests.support.fakes.orders import FakeInventory
from tests.support.orders_port_suite import AT, confirmed, draft, pending, request_to
from tests.support.postgres_suites import CustomersOnPostgres, OrdersOnPostgres

ANN, OTTO = Caller("ann"), Caller("otto", operator=True)
KEPT, FOR_EVER = 400, 3650
TABLES = ("orders", "order_changes", "archived_orders", "archived_changes", "archive_index")
MONTHS = (
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'archived_orders'::regclass ORDER BY 1"
)


@pytest.fixture
def orders(pool):
    return Store(pool, Notifier(pool), replica="orders-7")


@pytest.fixture
def archive(pool):
    return Archive(pool, KEPT, FOR_EVER)


class Archiving(Store):
    """A store whose final orders are in the archive at once."""

    async def save(self, *arguments, **named):
        answer = await super().save(*arguments, **named)
        await Archive(self._pool, 0, 1).move()
        return answer


class WithArchivedOrders:
    @pytest.fixture
    def orders(self, pool):
        return Archiving(pool, Notifier(pool))


class TestStoreWithArchivedOrders(WithArchivedOrders, OrdersOnPostgres):
    pass


class TestCustomersWithArchivedOrders(WithArchivedOrders, CustomersOnPostgres):
    pass


async def age(pool, *placed, days):
    """Have the orders been placed so many days ago."""
    ids = [order.id for order in placed]
    at = datetime.now(UTC) - timedelta(days=days)
    await pool.execute("UPDATE orders SET create_time = $2, update_time = $2 WHERE order_id = ANY($1)", ids, at)


async def counts(pool):
    return {table: await pool.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


async def archived(pool, order):
    return await pool.fetchval("SELECT count(*) FROM archive_index WHERE order_id = $1", order.id) == 1


async def test_final_orders_that_are_old_move_with_all_versions_and_nothing_else_does(orders, archive, pool):
    old = [await fulfilled(orders), await cancelled(orders)]
    rejected = pending(draft())
    await orders.place(rejected)
    old.append(rejected.order.reject("OUT_OF_STOCK", AT))
    await orders.save(Change(rejected.order, old[-1]))
    young, still_open = await fulfilled(orders), [confirmed(draft()).order, pending(draft()).order]
    for order in still_open:
        await orders.place((confirmed if order.total else pending)(draft(customer=str(order.id))))
    await age(pool, *old, days=KEPT + 1)
    await age(pool, young, days=KEPT - 1)
    await pool.execute(
        "UPDATE orders SET create_time = now() - interval '9 years' WHERE state IN ('PENDING', 'CONFIRMED')"
    )
    assert await archive.move() == 3
    assert await archive.move() == 0
    assert [await archived(pool, order) for order in (*old, young)] == [True, True, True, False]
    assert await counts(pool) == {
        "orders": 3, "order_changes": 4, "archived_orders": 3, "archived_changes": 6, "archive_index": 3,
    }  # fmt: skip
    # The month of those orders, and no other.
    month = (datetime.now(UTC) - timedelta(days=KEPT + 1)).strftime("%Y_%m")
    assert [row["name"] for row in await pool.fetch(MONTHS)] == [f"archived_orders_{month}"]


async def test_a_repeat_of_an_archived_order_is_answered_with_it_before_anything_is_held(orders, archive, pool):
    wanted = draft()
    order = await fulfilled(orders, wanted)
    first = (await orders.find_answer(Request.of(wanted))).answer.snapshot
    await age(pool, order, days=KEPT + 1)
    await pool.execute("DELETE FROM idempotency_keys")
    await archive.move()
    inventory = FakeInventory({"products/tea": 9})
    answer = await Checkout(orders, inventory, hold_timeout_s=1).place(wanted)
    assert (answer.snapshot, answer.replayed) == (first, True)
    assert inventory.stock == {"products/tea": 9}
    assert (await counts(pool))["orders"] == 0


async def test_an_archived_order_is_refused_changes_as_any_final_one(orders, archive, pool):
    order = await fulfilled(orders)
    checkout = Checkout(orders, FakeInventory({}), hold_timeout_s=1)

    async def refusals():
        said = []
        for who, move in ((ANN, checkout.cancel), (OTTO, checkout.fulfil)):
            with pytest.raises(IllegalTransition) as refused:
                await move(who, order.id, request_id="again")
            said.append((refused.value.message, refused.value.metadata))
        return said

    before = await refusals()
    await age(pool, order, days=KEPT + 1)
    assert await archive.move() == 1
    assert await refusals() == before
    with pytest.raises(NotFound):
        await checkout.get(Caller("bob"), order.id)


async def test_a_change_that_was_answered_is_answered_the_same_from_the_archive(orders, archive, pool):
    order = await cancelled(orders, key="c")
    request = request_to("CancelOrder", order, "c")
    before = await orders.find_answer(request)
    await age(pool, order, days=KEPT + 1)
    assert await archive.move() == 1
    assert await orders.find_answer(request) == before


async def test_the_timeline_and_the_reconciler_find_it(orders, archive, pool):
    order, live = await cancelled(orders), await fulfilled(orders)
    books = OperationsStore(pool)
    before = await books.versions(order.id)
    await age(pool, order, days=KEPT + 1)
    await archive.move()
    assert await books.versions(order.id) == before
    assert [version.version for version in before] == [1, 2]
    assert {each.id for each in await books.orders([order.id, live.id, uuid.uuid4()])} == {order.id, live.id}


async def test_a_watcher_sees_the_versions_of_an_archived_order(orders, archive, pool):
    order = await cancelled(orders)
    await age(pool, order, days=KEPT + 1)
    await archive.move()
    assert [row[:2] for row in await orders.history({order.id: 1})] == [(order.id, 1), (order.id, 2)]
    assert [row[:2] for row in await orders.history({order.id: 2})] == [(order.id, 2)]
    subscriptions = Subscriptions(ChangeFeed(pool), orders, max_watchers=1)
    serving = asyncio.create_task(subscriptions.run())
    with subscriptions.watch(order.id, 2) as watching:
        assert (await watching.get(10))[0] == 2
    serving.cancel()


async def test_a_customers_list_goes_on_in_the_archive_newest_first(orders, archive, pool):
    made = [await (fulfilled if n % 2 else cancelled)(orders) for n in range(8)]
    for n, order in enumerate(made):
        await age(pool, order, days=KEPT - 4 + n)
    # One that is older than those of the archive, but still open.
    still_open = confirmed(draft())
    await orders.place(still_open)
    await age(pool, still_open.order, days=KEPT + 100)
    other = await fulfilled(orders, draft(customer="bob"))
    await age(pool, other, days=KEPT + 2)
    listing = Listing(orders, PageTokens(b"key", method="ListOrders"))
    assert await archive.move() == 5

    async def pages(who, state=None):
        seen, token = [], ""
        while True:
            page, token = await listing.page(who, state, 2, token)
            seen += page
            if not token:
                return [order.id for order in seen]

    everything = [order.id for order in (*made, still_open.order)]
    assert await pages(ANN) == everything
    assert await pages(ANN, State.FULFILLED) == [order.id for order in made[1::2]]
    assert await pages(Caller("bob")) == [other.id]
    # An operator's list of everybody's has no archived ones.
    assert await pages(OTTO) == [order.id for order in (*made[:4], still_open.order)]
    page = await CustomerStore(pool).orders("ann", before=NEWEST, limit=99)
    assert [order.id for order in page] == everything
    assert page[-2].lines == made[-1].lines


async def test_what_orders_own_is_the_same_before_and_after_and_is_checked(orders, archive, pool):
    old = [await fulfilled(orders, draft(quantity=n)) for n in (1, 2, 3)]
    await fulfilled(orders, draft(quantity=10))
    await cancelled(orders, draft(quantity=100))
    await orders.place(confirmed(draft(quantity=1000)))
    await age(pool, *old, days=KEPT + 1)
    books, allocations = OperationsStore(pool), AllocationStore(pool)
    ids = [order.id for order in old]

    async def owned():
        return await books.sold(), {*await allocations.owners(ids)}, await allocations.owners(ids, generation=1)

    assert await owned() == ({"products/tea": 1016}, {*ids}, [])
    assert await archive.move(2) == 2
    assert await archive.move(2) == 1
    assert await owned() == ({"products/tea": 1016}, {*ids}, [])
    assert (await allocations.start_generation()).sold == {"products/tea": 1016}
    # What checks an experiment's guarantees does not take them for lost.
    assert {row["order_id"] for row in await pool.fetch(truth.ORDERS)} >= {*ids}
    assert await books.miscounted() == []
    await pool.execute("UPDATE archived_units SET units = units - 1")
    assert [(each.owned, each.counted) for each in await books.miscounted()] == [(1015, 1016)]


async def test_a_batch_is_bounded_and_takes_the_oldest(orders, archive, pool):
    made = [await fulfilled(orders) for _ in range(5)]
    for n, order in enumerate(made):
        await age(pool, order, days=KEPT + 100 - 40 * (n % 2) - n)
    assert await archive.move(3) == 3
    assert [await archived(pool, order) for order in made] == [True, False, True, False, True]
    assert await archive.move(3) == 2


async def test_several_replicas_move_each_order_once(orders, pool):
    made = [await fulfilled(orders) for _ in range(30)]
    await age(pool, *made, days=KEPT + 1)
    replicas, moved = [Archive(pool, KEPT, FOR_EVER) for _ in range(4)], 0
    async with asyncio.timeout(60):
        while moved < 30:
            moved += sum(await asyncio.gather(*(replica.move(4) for replica in replicas)))
    assert await counts(pool) == {
        "orders": 0, "order_changes": 0, "archived_orders": 30, "archived_changes": 60, "archive_index": 30,
    }  # fmt: skip


async def test_a_replica_that_is_killed_in_the_middle_leaves_each_order_in_one_of_both(
    orders, archive, pool, database_url
):
    made = [await fulfilled(orders) for _ in range(6)]
    await age(pool, *made, days=KEPT + 1)
    assert await archive.move(2) == 2
    before = await counts(pool)
    owner = await asyncpg.connect(database_url)
    # Orders and versions are deleted and written there when it waits for this row.
    async with owner.transaction():
        await owner.execute("UPDATE archived_units SET units = units")
        moving = asyncio.create_task(archive.move(2))
        killed = await waits_for_a_lock(owner)
        await owner.execute("SELECT pg_terminate_backend($1)", killed)
        with pytest.raises(Exception, match="does not answer"):
            await moving
    await owner.close()
    assert await counts(pool) == before
    assert [await archive.move(3) for _ in range(3)] == [3, 1, 0]
    assert (await counts(pool))["archived_changes"] == 12
    assert await OperationsStore(pool).miscounted() == []


async def waits_for_a_lock(session):
    """Return the process that waits for a lock of *session*."""
    async with asyncio.timeout(10):
        while True:
            found = await session.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if found:
                return found
            await asyncio.sleep(0.02)


async def test_an_order_that_is_being_erased_waits_for_the_next_batch(orders, archive, pool):
    first, second = await fulfilled(orders), await fulfilled(orders)
    await age(pool, first, second, days=KEPT + 1)
    async with pool.acquire() as session, session.transaction():
        await session.execute("SELECT FROM orders WHERE order_id = $1 FOR UPDATE", first.id)
        assert await archive.move() == 1
    assert await archive.move() == 1


async def test_an_erasure_reaches_the_archive(orders, archive, pool):
    made = [await fulfilled(orders, draft(customer="zoe")) for _ in range(5)]
    await age(pool, *made[:3], days=KEPT + 1)
    await age(pool, *made[3:4], days=KEPT + 99)
    assert await archive.move() == 4
    records = CustomerStore(pool)
    assert (await records.stored("zoe")).final == 5
    assert sorted(await records.customers_of([order.id for order in made])) == ["zoe"]
    assert [await records.erase_orders("zoe", at=LATER, limit=3) for _ in range(4)] == [1, 3, 1, 0]
    assert (await records.stored("zoe")).final == 0
    assert await records.customers_of([order.id for order in made]) == {}
    for table in TABLES:
        assert not [row for row in await pool.fetch(f"SELECT * FROM {table}") if "zoe" in str(dict(row))], table
    assert await OperationsStore(pool).miscounted() == []


async def test_orders_that_are_archived_while_their_customer_is_erased_name_nobody(orders, archive, pool):
    made = [await fulfilled(orders, draft(customer="zoe")) for _ in range(40)]
    await age(pool, *made, days=KEPT + 1)
    records, erased = CustomerStore(pool), 0
    async with asyncio.timeout(60):
        while erased < 40:
            count, *_ = await asyncio.gather(records.erase_orders("zoe", at=LATER, limit=3), archive.move(4))
            erased += count
    assert erased == 40
    assert len({row["order_id"] for row in await pool.fetch(truth.ORDERS)}) == 40
    for table in TABLES:
        assert not [row for row in await pool.fetch(f"SELECT * FROM {table}") if "zoe" in str(dict(row))], table


async def test_only_whole_months_go_and_what_they_sold_stays_counted(orders, pool):
    archive = Archive(pool, KEPT, 800)
    long_ago, before = datetime.now(UTC) - timedelta(days=800), await OperationsStore(pool).sold()
    begins = long_ago.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last_month, this_month = begins - timedelta(seconds=1), begins
    made = [await fulfilled(orders, draft(f"k{n}", quantity=n)) for n in (1, 2, 3, 4)]
    for order, placed in zip(made, (begins - timedelta(days=300), last_month, last_month, this_month), strict=True):
        await pool.execute("UPDATE orders SET create_time = $2 WHERE order_id = $1", order.id, placed)
    assert await archive.move() == 4
    assert await archive.drop_month() is None, "the index still has orders of it"
    await forget_archived(archive)
    left = [row["name"] for row in await pool.fetch(MONTHS)]
    assert left == [f"archived_orders_{this_month:%Y_%m}"]
    assert [await orders.get(order.id) is not None for order in made] == [False, False, False, True]
    assert await counts(pool) == {
        "orders": 0, "order_changes": 0, "archived_orders": 1, "archived_changes": 2, "archive_index": 1,
    }  # fmt: skip
    assert (before, await OperationsStore(pool).sold()) == ({}, {"products/tea": 10})
    assert await OperationsStore(pool).miscounted() == []


async def test_no_caller_has_a_month_dropped_that_ended_within_a_year(pool, orders):
    order = await fulfilled(orders)
    await age(pool, order, days=100)
    assert await Archive(pool, 8, 9).move() == 1
    await pool.execute("DELETE FROM archive_index")
    assert await pool.fetchval("SELECT drop_archive_month(now() + interval '1 day')") is None
    assert len(await pool.fetch(MONTHS)) == 1


async def test_orders_makes_months_and_nothing_else_and_others_not_even_that(pool, postgres, database_url):
    await pool.execute("SELECT make_archive_month(now()), make_archive_month(now())")
    for statement in ("CREATE TABLE x ()", "DROP TABLE archived_orders", "TRUNCATE archived_orders"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    owner = await asyncpg.connect(database_url)
    await owner.execute("CREATE ROLE stranger; SET ROLE stranger")
    try:
        for call in ("make_archive_month(now())", "drop_archive_month(now())"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.execute(f"SELECT {call}")
    finally:
        await owner.execute("RESET ROLE; DROP ROLE stranger")
        await owner.close()


@pytest.mark.parametrize("placed", ["12020-01-15", "0044-03-15 BC", "1969-12-31", "infinity", "-infinity", None])
async def test_no_month_is_made_in_which_no_order_can_have_been_placed(pool, placed):
    with pytest.raises(asyncpg.DatetimeFieldOverflowError):
        await pool.execute("SELECT make_archive_month($1::text::timestamptz)", placed)
    with pytest.raises(asyncpg.DatetimeFieldOverflowError):
        await pool.execute("SELECT make_archive_month(now() + interval '62 days')")


async def test_a_table_of_the_session_does_not_stand_in_for_a_month(pool):
    async with pool.acquire() as session:
        await session.execute("CREATE TEMP TABLE archived_orders_2021_01 ()")
        await session.execute("SELECT make_archive_month('2021-01-05')")
        await session.execute("DROP TABLE pg_temp.archived_orders_2021_01")
    assert [row["name"] for row in await pool.fetch(MONTHS)] == ["archived_orders_2021_01"]


async def test_what_is_archived_comes_back_with_the_schema_before_and_is_not_counted_twice(
    orders, archive, pool, database_url
):
    made = [await fulfilled(orders, draft(quantity=n)) for n in (1, 2)]
    await age(pool, *made[:1], days=KEPT + 1)
    assert await archive.move() == 1
    _, down = (migrations.SCHEMA / "20260701000000_archive.sql").read_text().split("-- migrate:down")
    owner = await asyncpg.connect(database_url)
    await owner.execute(down)
    await owner.close()
    assert [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES[:2]] == [2, 4]
    assert await OperationsStore(pool).sold() == {"products/tea": 3}
    await orders.place(confirmed(draft(quantity=4)))
    assert await OperationsStore(pool).sold() == {"products/tea": 7}


async def test_a_month_is_made_and_read_while_somebody_reads_the_archive(orders, archive, pool):
    order = await fulfilled(orders)
    await age(pool, order, days=KEPT + 1)
    async with pool.acquire() as session, session.transaction():
        await session.fetch("SELECT * FROM archived_orders")
        assert await archive.move() == 1
    assert (await orders.get(order.id)).id == order.id


async def test_a_month_that_cannot_be_dropped_now_keeps_nobody_waiting_for_long(archive, pool, database_url):
    await pool.execute("SELECT make_archive_month('2010-01-01')")
    owner = await asyncpg.connect(database_url)
    # Whoever reads the archive while this waits, waits as well.
    async with owner.transaction():
        await owner.fetch("SELECT FROM archived_orders")
        async with asyncio.timeout(1):
            with pytest.raises(Unavailable):
                await archive.drop_month()
    await owner.close()
    assert await archive.drop_month() == "2010_01"


async def test_the_archive_has_the_columns_of_what_is_archived(pool):
    columns = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    """
    of = {table: [tuple(row) for row in await pool.fetch(columns, table)] for table in TABLES}
    assert of["archived_orders"] == of["orders"]
    assert of["archived_changes"] == [*of["order_changes"], ("create_time", "timestamp with time zone", True)]


async def test_the_months_are_measured_as_one_table(orders, archive, pool):
    made = [await fulfilled(orders) for _ in range(3)]
    for n, order in enumerate(made):
        await age(pool, order, days=KEPT + 1 + 40 * n)
    await archive.move()
    query = yaml.safe_load((files.FOLDER / "postgres-metrics.yml").read_text())["pg_table"]["query"]
    bytes_of = {row["table"]: row["bytes"] for row in await pool.fetch(query)}
    assert {table for table in bytes_of if table.startswith("archive")} == {
        "archived_orders", "archived_changes", "archive_index", "archived_units",
    }  # fmt: skip
    whole = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('archived_orders')"
    assert bytes_of["archived_orders"] == await pool.fetchval(whole)


async def test_it_is_told_for_how_long_the_oldest_order_has_been_due(orders, archive, pool):
    assert await archive.overdue_s() == 0
    order = await fulfilled(orders)
    await age(pool, order, days=KEPT - 1)
    assert await archive.overdue_s() == 0
    await age(pool, order, days=KEPT + 2)
    assert await archive.overdue_s() == pytest.approx(2 * 86400, abs=60)
    await archive.move()
    assert await archive.overdue_s() == 0


async def test_an_order_that_cannot_be_moved_is_told_of_and_does_not_keep_others_from_being_forgotten(orders, pool):
    archive = Archive(pool, KEPT, 800)
    forgotten, stuck = await fulfilled(orders), await fulfilled(orders)
    await age(pool, forgotten, days=900)
    await move_to_archive(archive)
    await age(pool, stuck, days=KEPT + 1)
    # As if it had been moved already.
    await pool.execute("INSERT INTO archive_index VALUES ($1, 'ann', 'FULFILLED', 0, now())", stuck.id)
    with pytest.raises(asyncpg.UniqueViolationError):
        await move_to_archive(archive)
    assert ARCHIVE_OVERDUE._value.get() == pytest.approx(86400, abs=60)
    await forget_archived(archive)
    assert await orders.get(forgotten.id) is None


AGED = int(os.environ.get("AGED_ORDERS", "12000"))
"""How many orders age, in `ROUNDS` months; a million take six minutes or more."""
ROUNDS = 6
FILL = """
INSERT INTO orders (order_id, customer, state, state_reason, lines, currency, total, generation, version,
                    create_time, update_time)
SELECT md5($1 || '/' || n)::uuid, 'c' || n % 50,
    (ARRAY['FULFILLED', 'CANCELLED', 'REJECTED']::order_state[])[1 + n % 3], '',
    '[{"product": "products/tea", "quantity": 1, "currency": "EUR", "price": 3000000000}]', 'EUR', 3, 0, 2,
    $3::timestamptz + n * interval '1 s', $3::timestamptz + n * interval '1 s'
FROM generate_series(1, $2::int) AS n
"""
FILL_CHANGES = """
INSERT INTO order_changes (order_id, version, snapshot)
SELECT md5($1 || '/' || n)::uuid, version, convert_to(repeat('x', 250), 'UTF8')
FROM generate_series(1, $2::int) AS n, generate_series(1, 2) AS version
"""
SIZES = "SELECT pg_total_relation_size('orders') + pg_total_relation_size('order_changes')"
BLOCKS = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"


@pytest.mark.timeout(1800)
async def test_what_an_order_costs_and_the_size_of_the_tables_stay_the_same_over_years(database_url, postgres):
    """By pages, which is what makes a statement slow, and not by time."""
    owner = await asyncpg.connect(database_url)
    pool = await database.connect(database_url, role=files.SERVING, max_connections=1)
    archive, each = Archive(pool, KEPT, FOR_EVER), AGED // ROUNDS
    begins = datetime.now(UTC) - timedelta(days=KEPT + 31 * ROUNDS)
    await fill(owner, "live", each, datetime.now(UTC) - timedelta(days=30))
    sizes, costs, middles, began = [], [], [], time.monotonic()
    for month in range(ROUNDS):
        batches = []
        await fill(owner, str(month), each, begins + timedelta(days=31 * month))
        before = await blocks(owner, pool)
        while count := await archive.move():
            assert count <= BATCH
            batches.append(await blocks(owner, pool) - before)
            before += batches[-1]
        await owner.execute("VACUUM ANALYZE")
        sizes.append(await owner.fetchval(SIZES))
        costs.append(await read_by_statements(pool, "live/7", f"{month}/7"))
        # Of the first and of the last batches: VACUUM, which may run beside them, counts as well in one or the other.
        some = len(batches) // 2
        middles += [statistics.median(batches[:some]), statistics.median(batches[-some:])]
        print(f"month {month}: {sizes[-1] >> 10} KiB, {costs[-1]}, {len(batches)} batches of {middles[-2:]} pages")
    took_s, (index, months) = time.monotonic() - began, await owner.fetchrow(ARCHIVE_SIZES)
    print(f"{AGED} orders aged in {took_s:.0f} s; of each {index // AGED} bytes of index, {months // AGED} in months")
    await pool.close()
    await owner.close()
    # Without the archive they would be six times as large; indexes of random ids take a while to find their size.
    assert sizes[-1] <= 1.25 * sizes[0]
    # An index of ten times as many entries may have one level more.
    assert all(costs[-1][name] <= costs[0][name] + 2 for name in costs[0]), costs
    assert max(middles) <= 1.5 * min(middles)


ARCHIVE_SIZES = """
SELECT pg_total_relation_size('archive_index'), (SELECT sum(pg_total_relation_size(relid))::bigint FROM (
    SELECT * FROM pg_partition_tree('archived_orders') UNION ALL SELECT * FROM pg_partition_tree('archived_changes')
) AS months)
"""


async def fill(owner, name, count, begins):
    for statement in (FILL, FILL_CHANGES):
        await owner.execute(statement, name, count, *([begins] if statement is FILL else []))
    await owner.execute("ANALYZE")


async def blocks(owner, pool):
    """Return how many pages were asked for until now, once both sessions have said so."""
    for session in (owner, pool):
        await session.execute("SELECT pg_stat_force_next_flush()")
    return await owner.fetchval(BLOCKS)


async def read_by_statements(pool, live, archived):
    """Return how many pages statements read: those of each order, and those that look for a live or an archived one."""
    live_id, archived_id = [await pool.fetchval("SELECT md5($1)::uuid", name) for name in (live, archived)]
    now = datetime.now(UTC)
    at = await pool.fetchval("SELECT create_time FROM archive_index WHERE order_id = $1", archived_id)
    asked = {
        "new": (sql.FIND.text, ["ann"], ["k"], [uuid.uuid4()]),
        "repeated": (sql.FIND.text, ["c7"], ["k"], [live_id]),
        "repeated, archived": (sql.FIND.text, ["c7"], ["k"], [archived_id]),
        "get": (sql.GET, live_id),
        "get, archived": (sql.ARCHIVED, [archived_id], at, at),
        "versions, archived": (sql.ARCHIVED_VERSIONS, [archived_id], at, at),
        "owners": (sql.OWNERS, [live_id, archived_id], 0),
        "history": (sql.HISTORY, [live_id], [1]),
        "list of a customer": (sql.LIST_OF_CUSTOMER, [*State], now, uuid.uuid4(), 10, "c7"),
        "list of everybody's": (sql.LIST_ALL, [*State], now, uuid.uuid4(), 10),
        "look for old ones": (sql.TO_ARCHIVE, timedelta(days=KEPT), BATCH),
    }
    read = {}
    for name, (statement, *arguments) in asked.items():
        (shown,) = json.loads(await pool.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments))
        plan = shown["Plan"]
        read[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return read


FILL_MONTH = """
INSERT INTO archived_orders
SELECT md5($1::timestamptz || '/' || n)::uuid, CASE WHEN n % 400 = 0 THEN 'big' ELSE 'c' || n END, 'FULFILLED', '',
    '[]', 'EUR', 3, 0, 2, $1 + n * interval '1 minute', $1 FROM generate_series(1, 20000) AS n
"""
FILL_INDEX = """
INSERT INTO archive_index SELECT order_id, customer, state, generation, create_time FROM archived_orders
"""
LOOKS = """
SELECT sum(idx_scan + seq_tup_read)::int FROM pg_stat_user_tables
WHERE relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'archived_orders'::regclass)
"""


async def test_a_page_of_archived_orders_looks_for_each_in_its_month_once(database_url, postgres):
    """Neither for each at the time of each other one, nor at all orders of the month."""
    owner = await asyncpg.connect(database_url)
    pool = await database.connect(database_url, role=files.SERVING, max_connections=1)
    for month in (1, 2, 3):
        begins = datetime(2024, month, 1, tzinfo=UTC)
        await owner.execute("SELECT make_archive_month($1)", begins)
        await owner.execute(FILL_MONTH, begins)
    await owner.execute(FILL_INDEX)
    await owner.execute("VACUUM ANALYZE")
    await blocks(owner, pool)
    before = await owner.fetchval(LOOKS)
    assert len(await Store(pool, Notifier(pool)).list(customer="big", states=[*State], before=NEWEST, limit=500)) == 150
    await blocks(owner, pool)
    assert await owner.fetchval(LOOKS) - before <= 2 * 150
    await pool.close()
    await owner.close()


async def test_what_is_archived_is_read_without_a_lock_of_every_month(orders, archive, pool):
    order = await fulfilled(orders)
    await age(pool, order, days=KEPT + 1)
    await archive.move()
    await pool.execute(
        "SELECT make_archive_month(now() - n * interval '31 days') FROM generate_series(1, 120) AS n", timeout=120
    )
    at = await pool.fetchval("SELECT create_time FROM archive_index")
    locks = []
    async with pool.acquire() as session:
        for _ in range(12):
            async with session.transaction():
                for statement in (sql.ARCHIVED, sql.ARCHIVED_VERSIONS):
                    assert len(await session.fetch(statement, [order.id], at, at)) >= 1
                locks.append(await session.fetchval("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"))
    # The sixth time PostgreSQL weighs a plan for any month, and does not take it.
    assert [count < 12 for count in locks] == [n != 5 for n in range(12)], locks
