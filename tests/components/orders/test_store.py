"""The orders' store on a real PostgreSQL."""

import asyncio
import json
import random
import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest
import structlog

from chaos.alerts.causes import postgres as causes
from orders_svc import sql
from orders_svc.allocation_store import AllocationStore
from orders_svc.checkout import Checkout
from orders_svc.listing import Listing
from orders_svc.order import Change, Draft, Line, Order, State
from orders_svc.ports import Fenced, KeyTaken, Placement, Request, Unstorable
from orders_svc.refusals import OrderBusy
from orders_svc.schedule import OLDEST_KEY, prune
from orders_svc.sql import LOCK_FENCE, START_GENERATION
from orders_svc.store import Store
from runtime import database
from runtime.caller import Caller
from runtime.errors import InvalidArgument, Unavailable
from runtime.notifier import Notifier
from runtime.page_token import PageTokens
from tests.support.orders_port_suite import AT, confirmed, draft, hold_for, pending
from tests.support.postgres_suites import OrdersOnPostgres


@pytest.fixture
def orders(pool):
    return Store(pool, Notifier(pool))


class TestStore(OrdersOnPostgres):
    pass


async def test_each_change_writes_its_outbox_row_in_the_same_transaction(orders, pool):
    placement = pending(draft())
    await orders.place(placement)
    await orders.save(Change(placement.order, placement.order.cancel(AT)))
    rows = await pool.fetch("SELECT topic, key FROM outbox ORDER BY id")
    assert sorted(row["topic"] for row in rows) == ["order_events", "order_events", "pending_orders"]
    assert {row["key"].decode() for row in rows} == {str(placement.order.id)}


async def test_an_order_that_cannot_be_stored_fails_alone(orders):
    bad = confirmed(draft())
    bad = replace(bad, order=replace(bad.order, state_reason="\x00"))
    good = [confirmed(draft()) for _ in range(4)]
    outcomes = await asyncio.gather(
        *(orders.place(each) for each in [*good[:2], bad, *good[2:]]), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [Unstorable]
    assert all([await orders.get(each.order.id) for each in good])


async def test_an_order_that_is_there_without_its_key_is_answered_with_it(orders, pool):
    """Its key went between the look for an earlier answer and this."""
    wanted = draft()
    answer = await orders.place(confirmed(wanted))
    await pool.execute("DELETE FROM idempotency_keys")
    others = [orders.place(confirmed(draft())) for _ in range(3)]
    *stored, taken = await asyncio.gather(*others, orders.place(confirmed(wanted)), return_exceptions=True)
    assert isinstance(taken, KeyTaken)
    assert taken.stored.answer.snapshot == answer.snapshot
    assert not any(isinstance(each, Exception) for each in stored)
    assert await pool.fetchval("SELECT count(*) FROM orders") == 4


async def test_orders_that_are_stored_are_answered_when_the_look_for_anothers_answer_fails(orders, pool, monkeypatch):
    wanted = draft()
    await orders.place(confirmed(wanted))
    await pool.execute("DELETE FROM idempotency_keys")

    async def away(request):
        raise Unavailable("away")

    monkeypatch.setattr(orders, "find_answer", away)
    before, after = [confirmed(draft()) for _ in range(2)], [confirmed(draft()) for _ in range(2)]
    together = [*before, confirmed(wanted), *after]
    outcomes = await asyncio.gather(*map(orders.place, together), return_exceptions=True)
    assert [type(each) for each in outcomes if isinstance(each, Exception)] == [Unavailable]
    assert isinstance(outcomes[2], Unavailable)
    assert all([await orders.get(each.order.id) for each in before + after])


async def test_what_cannot_be_stored_is_logged_without_its_customer(orders):
    """PostgreSQL's detail has the whole row."""
    name = "z" * 256
    with structlog.testing.capture_logs() as logs, pytest.raises(Unstorable):
        await orders.place(confirmed(draft(customer=name)))
    assert [each["event"] for each in logs] == ["order_not_storable"]
    assert name not in repr(logs)


async def test_an_order_is_found_again_after_its_key_was_pruned(orders, pool):
    wanted = draft()
    answer = await orders.place(confirmed(wanted))
    await pool.execute("UPDATE idempotency_keys SET create_time = now() - interval '8 days'")
    assert await orders.oldest_key_s() == pytest.approx(8 * 86400, abs=60)
    assert await orders.prune_keys() == 1
    assert await orders.oldest_key_s() == 0
    stored = await orders.find_answer(Request.of(wanted))
    assert (stored.answer.snapshot, stored.fingerprint) == (answer.snapshot, wanted.fingerprint)


async def test_what_causes_failing_background_work_takes_the_right_to_prune(orders, database_url):
    async def as_owner(statement):
        connection = await asyncpg.connect(database_url)
        await connection.execute(statement)
        await connection.close()

    await orders.place(confirmed(draft()))
    await as_owner(f"UPDATE idempotency_keys SET create_time = now() - interval '6 days'; {causes.REVOKE_PRUNING}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await prune(orders)
    # By which the alert TablesGrow sees it.
    assert OLDEST_KEY._value.get() == pytest.approx(6 * 86400, abs=60)
    await as_owner(causes.GRANT_PRUNING)
    assert await orders.prune_keys() == 0


async def test_sold_units_are_raised_once_and_lowered_whole_however_often_each_is_tried(orders, pool, database_url):
    async def sold():
        return {row["product"]: row["units"] for row in await pool.fetch(sql.SOLD)}

    await orders.place(confirmed(draft()))
    before = await sold()
    product = next(iter(before))
    values = causes.row(product.removeprefix("products/"))
    with psycopg.connect(database_url, autocommit=True) as session:
        for _ in range(2):
            session.execute(causes.RAISE, values)
        assert await sold() == {**before, product: before[product] + causes.RAISED}
        for _ in range(2):
            session.execute(causes.LOWER, values)
    assert await sold() == before


async def test_keys_within_their_retention_are_kept(orders, pool):
    await orders.place(confirmed(draft()))
    await pool.execute("UPDATE idempotency_keys SET create_time = now() - interval '6 days'")
    assert await orders.prune_keys() == 0


async def test_concurrent_orders_share_a_commit(orders, pool):
    before = await pool.fetchval("SELECT txid_current()")
    await asyncio.gather(*(orders.place(confirmed(draft())) for _ in range(100)))
    assert await pool.fetchval("SELECT txid_current()") - before <= 6


async def test_no_statement_is_jit_compiled(pool):
    """A new table has no statistics: the planner assumes that it is large, and statements expensive."""
    assert await pool.fetchval("SHOW jit") == "off"


async def test_a_generation_starts_during_confirmations(orders, pool):
    """The fence must not wait for a moment without confirmations; what is confirmed is in its sums, or refused."""
    busy, stored = True, 0

    async def confirm_for_ever():
        nonlocal stored
        while busy:
            outcomes = await asyncio.gather(
                *(orders.place(confirmed(draft(), generation=0)) for _ in range(3)), return_exceptions=True
            )
            stored += sum(not isinstance(each, Exception) for each in outcomes)

    workers = [asyncio.create_task(confirm_for_ever()) for _ in range(4)]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(2):
        started = await AllocationStore(pool).start_generation()
    await asyncio.sleep(0.1)
    busy = False
    await asyncio.gather(*workers)
    assert started.generation == 1
    assert started.sold == {"products/tea": 2 * stored}
    assert stored > 0


async def test_a_generation_is_greater_than_any_that_inventory_knows(pool):
    allocations = AllocationStore(pool)
    generations = [(await allocations.start_generation(above=above)).generation for above in (0, 0, 7, 3)]
    assert generations == [1, 2, 8, 9]
    assert await allocations.generation() == 9


async def test_cancellations_during_new_generations_count_exactly_once(orders, pool):
    """The event of a cancelled order decides who releases the units: exactly one."""
    checkout = Checkout(orders, None, hold_timeout_s=1)
    allocations = AllocationStore(pool)
    placed = [confirmed(draft(), generation=1_000_000) for _ in range(60)]
    await asyncio.gather(*(orders.place(each) for each in placed))
    started = []

    async def raise_often():
        for _ in range(8):
            started.append(await allocations.start_generation())
            await asyncio.sleep(0.01)

    async def cancel(order_id):
        """Retry as the error asks for, should generations start faster than a call."""
        for _ in range(20):
            with suppress(OrderBusy):
                return await checkout.cancel(Caller("ann"), order_id)
        raise AssertionError("generations have ended to start long ago")

    raising = asyncio.create_task(raise_often())
    await asyncio.gather(*(cancel(each.order.id) for each in placed))
    await raising
    cancelled_in = [(await orders.get(each.order.id)).generation for each in placed]
    for start in started:
        counted = sum(generation >= start.generation for generation in cancelled_in)
        assert start.sold.get("products/tea", 0) == 2 * counted


async def test_the_check_of_expired_holds_waits_for_confirmations(orders, pool):
    """Between the check and the end of the hold nothing may be confirmed that the check did not report."""
    placement = confirmed(draft())
    async with pool.acquire() as session:
        transaction = session.transaction()
        await transaction.start()
        await session.execute(sql.LOCK_FENCE_SHARED)
        check = asyncio.create_task(AllocationStore(pool).owners([placement.order.id]))
        await asyncio.sleep(0.1)
        assert not check.done()
        await transaction.rollback()
    await check


async def test_a_confirmation_that_waited_for_a_new_generation_sees_it(orders, pool):
    """It waits inside its single statement, which began before the generation did."""
    placement = confirmed(draft(), generation=0)
    async with pool.acquire() as session, session.transaction():
        await session.execute(LOCK_FENCE)
        await session.fetchval(START_GENERATION, 0)
        placing = asyncio.create_task(orders.place(placement))
        await asyncio.sleep(0.2)
        assert not placing.done()
    with pytest.raises(Fenced):
        await placing
    assert await orders.get(placement.order.id) is None


async def test_session_state_does_not_leak_into_the_pool(pool):
    """The pool resets nothing, so sessions that set, listen or lock are closed."""
    async with database.own_session(pool) as session:
        backend = session.get_server_pid()
        await session.execute("SET synchronous_commit = off")
        await session.fetchval("SELECT pg_try_advisory_lock(1)")
        await session.add_listener("somebody", lambda *_: None)
    async with pool.acquire() as session:
        assert session.get_server_pid() != backend
        assert await session.fetchval("SHOW synchronous_commit") == "on"
        async with asyncio.timeout(5):
            while not await session.fetchval("SELECT pg_try_advisory_lock(1)"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)


async def test_a_connection_with_an_open_transaction_is_not_reused(pool):
    session = await pool.acquire()
    await session.transaction().start()
    await pool.release(session)
    async with pool.acquire() as session:
        assert not session.is_in_transaction()


async def test_an_order_is_not_visible_before_it_is_replicated(orders, second_copy_missing, eventually):
    placement = pending(draft())
    async with second_copy_missing():
        for _ in range(2):
            with pytest.raises(Unavailable):
                await orders.place(placement)
        assert await orders.get(placement.order.id) is None
        assert await orders.find_answer(placement.request) is None
    # Its session continued to wait, and has its copy now.
    await eventually(lambda: orders.get(placement.order.id), within_s=5)


@pytest.fixture
def second_copy_missing(postgres, eventually):
    """Make commits wait for a missing synchronous replica while a block runs."""

    async def set_synchronous_names(names):
        session = await asyncpg.connect(postgres.url("postgres"))

        async def is_set():
            return await session.fetchval("SHOW synchronous_standby_names") == names

        await session.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        await session.execute("SELECT pg_reload_conf()")
        await eventually(is_set, within_s=5)
        await session.close()

    @asynccontextmanager
    async def missing():
        await set_synchronous_names("nobody")
        try:
            yield
        finally:
            await set_synchronous_names("")

    return missing


async def test_owners_and_sums_are_those_of_confirmed_and_fulfilled_orders(orders, pool):
    kept, handed_over, called_off = (confirmed(draft(quantity=q)) for q in (2, 3, 4))
    for each in (kept, handed_over, called_off, pending(draft())):
        await orders.place(each)
    await orders.save(Change(handed_over.order, handed_over.order.fulfil(AT)))
    await orders.save(Change(called_off.order, called_off.order.cancel(AT)))
    late = pending(draft(quantity=5, product="products/pot"))
    await orders.place(late)
    await orders.save(Change(late.order, late.order.confirm(hold_for(late.order), AT)))
    owners = await AllocationStore(pool).owners([each.order.id for each in (kept, handed_over, called_off, late)])
    assert set(owners) == {kept.order.id, handed_over.order.id, late.order.id}
    assert (await AllocationStore(pool).start_generation()).sold == {"products/tea": 5, "products/pot": 5}


async def test_concurrent_orders_of_the_same_products_never_deadlock(orders, pool):
    """Everybody updates the same rows, so that a deadlock would be noticed."""
    stores = [orders] + [Store(pool, Notifier(pool)) for _ in range(5)]
    names = [f"products/{name}" for name in "abcdef"]

    def many(seed):
        lines = random.Random(seed).sample(names, 6)
        return replace(draft(), lines=tuple(Line(name, 1) for name in lines))

    gate = asyncio.Semaphore(6)

    async def buy(number):
        placement = confirmed(many(number))
        async with gate:
            await stores[number % 6].place(placement)
            if number % 3 == 0:
                await stores[number % 6].save(Change(placement.order, placement.order.cancel(AT)))

    await asyncio.gather(*(buy(number) for number in range(150)))
    assert (await AllocationStore(pool).start_generation()).sold == dict.fromkeys(names, 100)


async def test_counting_units_costs_one_more_statement_per_batch(orders, pool):
    """However many orders and lines there are, a batch writes its sum once for each product."""
    placed = [confirmed(draft()) for _ in range(100)]
    await asyncio.gather(*(orders.place(each) for each in placed))
    assert await pool.fetchval("SELECT sum(units) FROM sold_units") == 200
    commits = await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM orders")
    assert commits < 20
    assert await units_written(pool) == commits
    for each in placed[:10]:
        await orders.save(Change(each.order, each.order.fulfil(AT)))
    assert await units_written(pool) == commits


async def units_written(pool):
    """Return how many row versions of sold_units were ever written."""
    counted = "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'sold_units'"
    # Sessions report their statistics with a delay, unless they are flushed.
    sessions = [await pool.acquire() for _ in range(pool.get_size())]
    for each in sessions:
        await each.fetchval("SELECT pg_stat_force_next_flush()")
    written = await sessions[0].fetchval(counted)
    for each in sessions:
        await pool.release(each)
    return written


class Watched:
    """A pool of one session that counts the statements and rows of a use."""

    def __init__(self, pool):
        self._pool = pool
        self.statements = []

    async def acquire(self, **options):
        session = await self._pool.acquire(**options)
        session.add_query_logger(self._note)
        return session

    async def release(self, session):
        session.remove_query_logger(self._note)
        await self._pool.release(session)

    def _note(self, record):
        self.statements.append(record.query)

    async def rows_read(self):
        """Return how many rows of our tables this session has read."""
        await self._pool.fetchval("SELECT pg_stat_force_next_flush()")
        return await self._pool.fetchval("SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables")


async def test_the_cost_of_a_generation_does_not_depend_on_the_number_of_orders(database_url):
    """The rebuild of the stock waits for it, and so does every order that is confirmed meanwhile."""
    insert = """
    INSERT INTO orders
    SELECT gen_random_uuid(), 'ann', 'CONFIRMED', '',
        jsonb_build_array(jsonb_build_object('product', 'products/' || n % 10, 'quantity', 2)),
        'EUR', 1, 0, 1, now(), now()
    FROM generate_series(1, $1) AS n
    """
    pool = await database.connect(database_url, max_connections=1)
    costs = []
    for more in (10, 20_000):
        await pool.execute(insert, more)
        watched = Watched(pool)
        before = await watched.rows_read()
        started = await AllocationStore(watched).start_generation()
        costs.append((await watched.rows_read() - before, len(watched.statements)))
    await pool.close()
    assert sum(started.sold.values()) == 2 * 20_010
    assert costs[0] == costs[1]
    assert costs[0][0] <= 20


class TestPages:
    """ListOrders: newest first, without duplicates or gaps."""

    @pytest.fixture
    def listing(self, orders):
        return Listing(orders, PageTokens(b"key", method="ListOrders"))

    @staticmethod
    async def place_at(orders, seconds, state=State.CONFIRMED, customer="ann"):
        wanted = draft(customer=customer)
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        new = Order.pending(wanted, at) if state is State.PENDING else Order.confirmed(wanted, hold_for(wanted), at)
        await orders.place(Placement(new, Request.of(wanted)))
        return new.id

    @staticmethod
    async def all_pages(listing, who, state=None, size=3):
        seen, token = [], ""
        while True:
            page, token = await listing.page(who, state, size, token)
            seen += [order.id for order in page]
            if not token:
                return seen

    async def test_all_pages_together_are_all_orders_newest_first(self, orders, listing):
        placed = [await self.place_at(orders, n, State.PENDING if n % 3 else State.CONFIRMED) for n in range(10)]
        assert await self.all_pages(listing, Caller("ann")) == placed[::-1]

    async def test_orders_of_one_instant_are_neither_repeated_nor_skipped(self, orders, listing):
        placed = {await self.place_at(orders, 0) for _ in range(8)}
        seen = await self.all_pages(listing, Caller("ann"))
        assert len(seen) == 8
        assert set(seen) == placed

    async def test_new_orders_do_not_shift_the_pages(self, orders, listing):
        placed = [await self.place_at(orders, n) for n in range(6)]
        first, token = await listing.page(Caller("ann"), None, 3, "")
        await self.place_at(orders, 100)
        second, _ = await listing.page(Caller("ann"), None, 3, token)
        assert [order.id for order in first + second] == placed[::-1]

    async def test_a_state_is_filtered(self, orders, listing):
        wanted = [await self.place_at(orders, n, State.PENDING) for n in range(4)]
        await self.place_at(orders, 9)
        assert await self.all_pages(listing, Caller("ann"), State.PENDING) == wanted[::-1]
        assert await self.all_pages(listing, Caller("ann"), State.REJECTED) == []

    async def test_customers_list_their_own_orders_and_operators_all(self, orders, listing):
        mine = await self.place_at(orders, 0)
        other = await self.place_at(orders, 1, customer="bob")
        assert await self.all_pages(listing, Caller("ann")) == [mine]
        assert await self.all_pages(listing, Caller("op", operator=True)) == [other, mine]

    @pytest.mark.parametrize(
        "spoil", [lambda t: t[:-2] + "AA", lambda t: "x", lambda t: t + "!", lambda t: "AAAA" + t[4:]]
    )
    async def test_a_forged_token_is_refused(self, orders, listing, spoil):
        for n in range(3):
            await self.place_at(orders, n)
        _, token = await listing.page(Caller("ann"), None, 1, "")
        with pytest.raises(InvalidArgument) as refused:
            await listing.page(Caller("ann"), None, 1, spoil(token))
        assert refused.value.fields[0].field == "page_token"

    async def test_a_token_of_another_list_is_refused(self, orders, listing):
        for n in range(3):
            await self.place_at(orders, n)
        _, token = await listing.page(Caller("ann"), None, 1, "")
        for who, state in [(Caller("bob"), None), (Caller("ann"), State.PENDING), (Caller("ann", operator=True), None)]:
            with pytest.raises(InvalidArgument):
                await listing.page(who, state, 1, token)

    async def test_a_page_reads_as_many_rows_as_it_returns(self, pool):
        await pool.execute(
            """INSERT INTO orders SELECT gen_random_uuid(), 'ann', (enum_range(null::order_state))[1 + n % 2], '', '[]',
               'EUR', 1, 0, 1, now() - n * interval '1 s', now() FROM generate_series(1, 30000) n"""
        )
        await pool.execute("ANALYZE orders")
        plan = await pool.fetchval(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + sql.LIST_OF_CUSTOMER,
            [*State],
            datetime.now(UTC),
            uuid.uuid4(),
            50,
            "ann",
        )
        assert "Seq Scan" not in plan.replace("Function Scan", "")
        assert "orders_of_customer" in plan
        assert max_rows(plan) <= 5 * 50


def max_rows(plan):
    found = []

    def visit(node):
        if node.get("Relation Name") == "orders":
            found.append(node["Actual Rows"] * node["Actual Loops"])
        for child in node.get("Plans", ()):
            visit(child)

    visit(json.loads(plan)[0]["Plan"])
    return max(found)


def test_lines_keep_their_order():
    wanted = Draft("ann", "k", (Line("products/b", 1), Line("products/a", 2)))
    assert [line.product for line in Order.pending(wanted, AT).lines] == ["products/b", "products/a"]
