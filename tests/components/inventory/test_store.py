"""The ports' test suite and more on a real Redis."""

import asyncio
import contextlib
import time
import uuid

import pytest
from redis.asyncio import Redis

from inventory_svc.connection import connect
from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.refusals import BacklogFull, HoldSettled, OutOfStock, Rebuilding, Undecided
from inventory_svc.scripts import EVENTS, REBUILD_LOCK
from inventory_svc.stock import Basket, Hold, Receipt, Return, Sale, Stock
from runtime.errors import Unavailable
from tests.components.inventory.conftest import PREFIX, StockOnScriptsSuite, fresh_store, marked, store_on
from tests.support.stock_port_suite import (
    basket,
    commit,
    hold,
    lines,
    list_product,
    numbers,
    order_id,
    release,
    sale,
)


class TestStockOnRedis(StockOnScriptsSuite):
    """The real store."""


async def kinds(redis):
    return [fields["kind"] for _, fields in await redis.xrange(EVENTS)]


async def test_a_final_order_needs_no_redis_key(store, redis):
    """What remains is some bytes in a shard, however many orders there were."""
    await hold(store, "a", mug=2)
    await commit(store, "a")
    await hold(store, "b", mug=2)
    await release(store, "b")
    keys = {key.removeprefix(PREFIX).partition(":")[0] async for key in redis.scan_iter(match=f"{PREFIX}*")}
    assert keys == {"products", "product", "receipts", "final", "ticks"}


async def test_a_final_order_needs_few_bytes(store, redis):
    """As many in a shard as with 10^6 orders: these then fit into 64 MiB."""
    shards, each = 100, 61
    orders = [str(uuid.UUID(int=(4 * shard << 112) + number)) for shard in range(shards) for number in range(each)]
    before = (await redis.info("memory"))["used_memory"]
    for at in range(0, len(orders), 500):
        await store.release([Return(order) for order in orders[at : at + 500]])
    taken = (await redis.info("memory"))["used_memory"] - before
    assert (await store.forget()).remembered == len(orders)
    assert taken / len(orders) < 64


async def aged(redis, store, order, ticks):
    """Let *order* have become final that much earlier, in steps of ten minutes."""
    shard = int(order_id(order)[:4], 16) // 4
    key, field = f"{PREFIX}final:{shard}", uuid.UUID(order_id(order)).bytes
    raw = connect_raw(redis)
    value = int(await raw.hget(key, field))
    await raw.hset(key, field, value - 4 * ticks)
    await redis.hincrby(f"{PREFIX}ticks", value // 4, -1)
    await redis.hincrby(f"{PREFIX}ticks", value // 4 - ticks, 1)
    await raw.aclose()


def connect_raw(redis):
    path = redis.connection_pool.connection_kwargs["path"]
    return Redis(unix_socket_path=path)


async def forget_all(store):
    forgotten = 0
    while True:
        memory = await store.forget()
        forgotten += memory.forgotten
        if not memory.more:
            return forgotten, memory.remembered


async def test_old_final_orders_are_pruned(redis, store):
    await hold(store, "old", mug=1)
    await commit(store, "old")
    await release(store, "new")
    assert await forget_all(store) == (0, 2)
    await aged(redis, store, "old", 2)
    assert await forget_all(store) == (1, 1)
    (found,) = await store.holds_of([order_id("old"), order_id("new")])
    assert found.order == order_id("new")
    assert await numbers(store) == (9, 0, 1)


async def test_the_oldest_of_too_many_final_orders_are_pruned(redis, store):
    store = store_on(redis, store.current, keep_ms=10**9, remembered=3)
    for number in range(8):
        await release(store, f"o{number}")
        await aged(redis, store, f"o{number}", 20 - number)
    assert await forget_all(store) == (5, 3)
    found = await store.holds_of([order_id(f"o{number}") for number in range(8)])
    assert {each.order for each in found} == {order_id(f"o{number}") for number in (5, 6, 7)}


async def test_recent_final_orders_are_kept_however_many_there_are(redis, store):
    store = store_on(redis, store.current, remembered=3)
    for number in range(8):
        await release(store, f"o{number}")
    assert await forget_all(store) == (0, 8)


async def test_events_from_before_the_pruning_are_undecidable(redis, store):
    await hold(store, "sold", mug=1)
    await commit(store, "sold")
    await aged(redis, store, "sold", 10)
    before = int(time.time() * 1000) - 600_000 * 10
    await forget_all(store)
    (again,) = await store.commit([Sale(order_id("sold"), lines(mug=1), 1, before)], owned=True)
    assert isinstance(again, Undecided)
    assert isinstance(await release(store, "x", 1, held_in=0, at_ms=before, mug=1), Undecided)
    # Later events can be decided, and so can the delivery of what was sold later.
    (handed_over,) = await store.commit([Sale(order_id("sold"), lines(mug=1), 1, before, handed_over=True)])
    assert isinstance(handed_over, HoldSettled)
    now = int(time.time() * 1000)
    assert isinstance(await release(store, "sold", 1, held_in=1, at_ms=now, created_ms=before, mug=1), Hold)
    assert await numbers(store) == (10, 0, 0)


async def expired_store(redis, *, grace_ms=0):
    store = await fresh_store(redis, lease_ms=30, grace_ms=grace_ms)
    await list_product(store, "mug", 10)
    return store


async def let_expire(store, order):
    await asyncio.sleep(0.05)
    assert await store.expire([order_id(order)]) == 1


async def test_units_missing_for_a_late_commit_are_owed_before_new_holds(redis):
    store = await expired_store(redis)
    await hold(store, "a", mug=4)
    await let_expire(store, "a")
    await hold(store, "b", mug=9)
    await commit(store, "a", mug=4, owned=True)
    assert (await store.product("mug")).stock == Stock(10, 0, 9, 1, short=3)
    assert (await store.audit()).short == 3
    assert "short" in await kinds(redis)
    await store.receive(Receipt("r", "mug", 2))
    assert (await store.product("mug")).stock == Stock(12, 0, 9, 3, short=1)
    await release(store, "b")
    assert (await store.product("mug")).stock == Stock(12, 8, 0, 4, short=0)
    await release(store, "a", 1, held_in=1, mug=4)
    assert await numbers(store) == (12, 0, 0)


async def test_falling_to_the_low_stock_threshold_is_reported_once(redis):
    store = await fresh_store(redis)
    await list_product(store, "mug", 10, low=5)
    await hold(store, "a", mug=4)
    assert "low" not in await kinds(redis)
    await hold(store, "b", mug=1)
    await hold(store, "c", mug=1)
    assert (await kinds(redis)).count("low") == 1
    assert (await store.audit()).low == 1


async def test_every_change_appends_its_event(store, redis):
    await redis.delete(EVENTS)
    await hold(store, "a", mug=4)
    await commit(store, "a")
    await release(store, "a", 1, held_in=1, mug=4)
    await store.receive(Receipt("r", "mug", 2))
    assert await kinds(redis) == ["held", "committed", "released", "restocked"]


async def test_a_sale_after_its_lease_appends_its_event(store, redis):
    await redis.delete(EVENTS)
    assert (await commit(store, "a", owned=True, mug=4)).late
    assert await kinds(redis) == ["committed"]


async def test_rejections_and_replays_append_no_event(store, redis):
    await hold(store, "a", mug=4)
    await redis.delete(EVENTS)
    await hold(store, "a", mug=4)
    await hold(store, "b", mug=40)
    await store.receive(Receipt("test mug", "mug", 10))
    await release(store, "never")
    assert await kinds(redis) == []


async def test_nothing_is_held_while_the_event_backlog_is_full(redis):
    store = await fresh_store(redis, backlog_limit=3)
    await list_product(store, "mug", 10)
    await hold(store, "a", mug=1)
    await hold(store, "b", mug=1)
    assert isinstance(await hold(store, "c", mug=1), BacklogFull)
    # Existing holds can be repeated, committed and released.
    assert isinstance(await hold(store, "a", mug=1), Hold)
    await commit(store, "a")
    await release(store, "b")
    assert await numbers(store) == (9, 0, 1)


async def test_an_audit_finds_stock_that_does_not_add_up(store, redis):
    assert (await store.audit()).broken == ()
    await redis.hincrby(f"{PREFIX}product:mug", "available", 1)
    assert (await store.audit()).broken == ("mug",)


async def test_an_emptied_redis_rejects_every_change(store, redis):
    await redis.flushall()
    assert isinstance(await hold(store, "a", mug=1), Rebuilding)
    calls = (
        store.commit([sale("a")]),
        store.release([Return(order_id("a"))]),
        store.expire([order_id("a")]),
        store.product("mug"),
    )
    for call in calls:
        with pytest.raises(Rebuilding):
            await call
    assert store.current.doubted.is_set()
    assert await redis.dbsize() == 0


async def test_a_redis_that_lost_its_last_changes_rejects(store, redis):
    await hold(store, "a", mug=1)
    await redis.hincrby("stock:marker", "sequence", -1)
    assert isinstance(await hold(store, "b", mug=1), Rebuilding)


async def test_no_receipt_is_applied_while_a_rebuild_reads_the_ledger(store, redis):
    """It would be added to a stock that is about to be replaced, and be missing in the new one."""
    await redis.set(REBUILD_LOCK, "somebody")
    with pytest.raises(Rebuilding):
        await store.receive(Receipt("r", "mug", 5))
    with pytest.raises(Rebuilding):
        await list_product(store, "cup", 0)
    assert not store.current.doubted.is_set()
    await redis.delete(REBUILD_LOCK)
    assert await store.receive(Receipt("r", "mug", 5)) == Stock(15, 15)


async def test_nothing_is_held_in_a_fenced_generation(store):
    store.current.fence()
    assert isinstance(await hold(store, "a", mug=1), Rebuilding)
    assert await numbers(store) == (10, 0, 0)


async def test_data_of_another_format_is_not_used(store, redis):
    await redis.hset("stock:marker", "format", "1")
    assert isinstance(await hold(store, "a", mug=1), Rebuilding)
    assert store.current.doubted.is_set()


async def test_a_generation_is_activated_once(redis):
    await marked(redis, 3, prefix="stock:a:")
    await redis.hset("stock:marker", "sequence", 9)
    await marked(redis, 3, prefix="stock:a:")
    assert await redis.hget("stock:marker", "sequence") == "9"
    with pytest.raises(AssertionError):
        await marked(redis, 3, prefix="stock:b:")
    with pytest.raises(AssertionError):
        await marked(redis, 2, prefix="stock:b:")


async def test_a_thousand_buyers_of_ten_items_get_exactly_ten(store, redis_server):
    """Directly on the store, from several clients at the same time, in small groups."""
    clients = [connect(redis_server.url, connect_timeout_s=2, timeout_s=10, max_connections=16) for _ in range(4)]
    stores = [other_client(client) for client in clients]
    buyers = [str(uuid.uuid4()) for _ in range(1000)]

    async def buy(index):
        # Two lines, so that a partial basket would be noticed.
        return await stores[index % 4].hold([Basket(buyers[index], lines(mug=1))])

    outcomes = [outcome for (outcome,) in await asyncio.gather(*map(buy, range(1000)))]
    winners = [each.order for each in outcomes if isinstance(each, Hold)]
    assert len(winners) == 10
    assert sum(isinstance(each, OutOfStock) for each in outcomes) == 990
    await store.commit([Sale(order, ()) for order in winners])
    assert await numbers(store) == (0, 0, 10)
    for each in clients:
        await each.aclose()


def other_client(client):
    current = CurrentGeneration()
    current.adopt(Position(1))
    return store_on(client, current)


@pytest.fixture
async def full_memory(redis):
    """Return a function that leaves Redis no memory, or with False gives it back."""

    async def leave_none(none=True):
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used // 2 if none else 0)

    yield leave_none
    await leave_none(False)


async def test_nothing_is_held_while_the_memory_is_full(store, redis, full_memory):
    """The whole basket is refused before its first write, and may be held once there is memory again."""
    await hold(store, "a", mug=2)
    before, events = await numbers(store), await kinds(redis)
    keys = {key async for key in redis.scan_iter()}
    await full_memory()
    # A repeat would renew the lease.
    for order, wanted in (("a", {"mug": 2}), ("b", {"mug": 2, "pen": 1})):
        assert isinstance(await hold(store, order, **wanted), Unavailable)
    outcomes = await store.hold([basket(f"many {number}", mug=1) for number in range(20)])
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert await numbers(store) == before
    assert await kinds(redis) == events
    assert {key async for key in redis.scan_iter()} == keys
    await full_memory(False)
    assert isinstance(await hold(store, "b", mug=2), Hold)
    assert (await store.audit()).broken == ()


async def test_settling_with_full_memory_is_whole_or_not_at_all(store, redis, full_memory):
    for order in ("kept", "sold", "back"):
        await hold(store, order, mug=2)
    await full_memory()
    for settle in (commit(store, "sold"), release(store, "back"), store.expire([order_id("kept")])):
        with contextlib.suppress(Unavailable):
            await settle
        assert (await store.audit()).broken == ()
    await full_memory(False)
    await commit(store, "sold")
    await release(store, "back")
    assert await numbers(store) == (6, 2, 2)
    assert (await store.audit()).broken == ()
