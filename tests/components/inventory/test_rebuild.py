"""Data loss in Redis, apparent loss, and rejected generations; against a real Redis."""

import asyncio
from functools import partial

import pytest
from shop.inventory.v1.events_pb2 import LedgerEntry

from inventory_svc import staging
from inventory_svc.connection import connect
from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.ledger_follower import LedgerEntries
from inventory_svc.marker import StockMarker
from inventory_svc.projection import StockProjection
from inventory_svc.rebuild import Rebuild
from inventory_svc.recovery import StockRecovery
from inventory_svc.refusals import HoldSettled
from inventory_svc.scripts import EVENTS, MARKER, REBUILD_LOCK, Scripts
from inventory_svc.staging import Staging
from inventory_svc.stock import Basket, Hold, Line, Listing, Receipt, Return, Sale, Stock
from runtime.errors import Aborted, Unavailable
from runtime.money import Money
from tests.components.inventory.conftest import store_on
from tests.support.fakes.inventory import FakeLedger, FakeOrders
from tests.support.stock_port_suite import order_id
from tests.support.waiting import passes

MUG = Listing("mug", "Mug", "A mug.", Money.of("EUR", 12), 0)


class Replica:
    """One replica's view of Redis."""

    def __init__(self, url, ledger, orders, *, ask_s=0.0):
        self.redis = connect(url, connect_timeout_s=0.5, timeout_s=2)
        self.current = CurrentGeneration()
        self.store = store_on(self.redis, self.current)
        self.readiness = []
        rebuild = Rebuild(partial(Staging, self.redis, Scripts(self.redis, self.current)), ledger, orders)
        self.recovery = StockRecovery(
            StockMarker(self.redis), self.current, rebuild, ledger, orders, on_ready=self.say, every_s=0.05, ask_s=ask_s
        )

    async def say(self, ready):
        self.readiness.append(ready)

    async def look(self):
        await self.recovery.look()

    async def hold(self, order, units=1):
        (outcome,) = await self.store.hold([Basket(order_id(order), (Line("mug", units),))])
        return outcome

    async def stock(self):
        stock = (await self.store.product("mug")).stock
        assert stock.adds_up()
        return stock


@pytest.mark.parametrize("commands", [1, 2, 5, 100])
async def test_a_sweep_removes_every_key_of_abandoned_stocks_and_counts_them(redis, monkeypatch, commands):
    monkeypatch.setattr(staging, "COMMANDS", commands)
    scripts = Scripts(redis, CurrentGeneration())
    projection = StockProjection()
    for name in ("bowl", "cup", "mug"):
        projection.list_product(Listing(name, name, "", Money.of("EUR", 12), 0), 1)
        projection.receive(Receipt(f"delivery of {name}", name, 10))
    await Staging(redis, scripts).write(projection)
    written = await redis.keys("stock:*:*")
    assert len(written) == len(projection.listings) + len(["products", "receipts"])
    await redis.set(REBUILD_LOCK, "mine")
    sweeping = Staging(redis, scripts)
    assert await sweeping.sweep("another's") == 0
    assert sorted(await redis.keys("stock:*:*")) == sorted(written)
    assert await sweeping.sweep("mine") == len(written)
    assert await redis.keys("stock:*:*") == []
    assert await sweeping.sweep("mine") == 0


@pytest.fixture
async def ledger():
    ledger = FakeLedger()
    await ledger.record_listings([MUG], 1)
    await ledger.record_receipts([Receipt("seed mug", "mug", 10)])
    return ledger


@pytest.fixture
def orders():
    return FakeOrders()


@pytest.fixture
async def replicas(redis, redis_server, ledger, orders):
    both = [Replica(redis_server.url, ledger, orders) for _ in range(2)]
    yield both
    for each in both:
        await each.redis.aclose()


@pytest.fixture
def replica(replicas):
    return replicas[0]


def owns(orders, name, units, generation=1):
    orders.confirmed[order_id(name)] = Sale(order_id(name), (Line("mug", units),), generation)


async def staged(redis):
    """Return the prefixes of all stocks in Redis."""
    return {key.split(":")[1] async for key in redis.scan_iter(match="stock:*:*")}


async def test_a_first_start_builds_the_stock_from_the_ledger(replica):
    await replica.look()
    assert await replica.stock() == Stock(10, 10)
    assert replica.current.position == Position(1)
    assert replica.readiness == [False, True]


async def test_a_product_that_is_listed_after_a_rebuild_takes_its_place_by_name(replica):
    await replica.look()
    for name in ("apron", "zester"):
        await replica.store.list_product(Listing(name, name, "", Money.of("EUR", 12), 0), 1)
    listed = await replica.store.products(after=None, limit=10)
    assert [each.listing.product for each in listed] == ["apron", "mug", "zester"]


async def test_a_rebuild_keeps_owned_units_and_drops_holds(replica, redis, orders):
    await replica.look()
    for order in ("confirmed", "only-held"):
        await replica.hold(order, 2)
    owns(orders, "confirmed", 2)
    orders.fulfilled["fulfilled"] = Sale("fulfilled", (Line("mug", 1),), 1)
    await redis.flushall()
    await replica.look()
    assert await replica.stock() == Stock(10, 7, 0, 3)
    (settled,) = await replica.store.commit([orders.confirmed[order_id("confirmed")]])
    assert isinstance(settled, HoldSettled)
    await replica.store.release([Return(order_id("confirmed"), (Line("mug", 2),), 2, 1)])
    assert await replica.stock() == Stock(10, 9, 0, 1)


async def test_receipts_are_not_applied_again_after_a_rebuild(replica, redis, ledger):
    await replica.look()
    await redis.flushall()
    await replica.look()
    assert await replica.store.receive(Receipt("seed mug", "mug", 10)) == Stock(10, 10)
    assert await replica.store.reserve(Receipt("seed mug", "mug", 10)) == Stock(10, 10)
    assert await replica.stock() == Stock(10, 10)


async def test_of_two_receipts_with_one_request_id_the_first_wins(replica, ledger):
    await ledger.record_receipts([Receipt("ada r", "mug", 1), Receipt("ada r", "mug", 5)])
    await replica.look()
    assert await replica.stock() == Stock(11, 11)


async def test_a_running_replica_notices_at_its_next_call(replica, redis):
    await replica.look()
    watching = asyncio.create_task(replica.recovery.run())
    await redis.flushall()
    assert isinstance(await replica.hold("a"), Unavailable)

    async def back():
        assert isinstance(await replica.hold("a"), Hold)

    await passes(back)
    watching.cancel()
    assert replica.readiness[-2:] == [False, True]
    assert replica.current.position.generation == 2


async def test_data_older_than_the_replica_knows_is_not_served(replica, redis):
    await replica.look()
    before = await redis.hgetall(MARKER)
    await replica.hold("a")
    await redis.hset(MARKER, mapping=before)
    await replica.look()
    assert replica.current.position == Position(2)
    assert await replica.stock() == Stock(10, 10)


async def test_data_older_than_the_published_events_is_not_served_by_a_new_replica(replicas, ledger):
    first, second = replicas
    await first.look()
    await first.hold("a")
    ledger.published = Position(1, 7)
    await second.look()
    assert second.current.position == Position(2)


async def test_a_replica_that_starts_under_load_detects_no_false_loss(replicas, ledger, orders):
    """The history grows while it is read: Redis is always read after it."""
    first, second = replicas
    await first.look()
    calls = 0

    async def sell_meanwhile():
        nonlocal calls
        calls += 1
        for number in range(3):
            await first.hold(f"{calls} {number}")
        ledger.published = first.current.position
        return ledger.published

    ledger.last_position = sell_meanwhile
    await second.look()
    assert calls == 1
    assert orders.present == 1
    assert second.readiness == [True]
    assert second.current.position == Position(1, ledger.published.sequence)


async def test_a_redis_restarted_during_the_check_is_checked_again(replica, ledger, redis_server):
    calls = 0

    async def restarted_meanwhile():
        nonlocal calls
        calls += 1
        if calls == 1:
            redis_server.stop()
            redis_server.start()
        return Position(0)

    ledger.last_position = restarted_meanwhile
    await replica.look()
    assert calls >= 2


async def test_the_other_replica_adopts_what_was_rebuilt(replicas, redis):
    first, second = replicas
    await first.look()
    await second.look()
    await redis.flushall()
    await first.look()
    assert isinstance(await second.hold("a"), Unavailable)
    await second.look()
    assert isinstance(await second.hold("a"), Hold)
    assert second.current.position.generation == 2


async def test_only_one_replica_rebuilds(replicas, orders):
    first, second = replicas
    await asyncio.gather(first.look(), second.look())
    await asyncio.gather(first.look(), second.look())
    assert orders.present == 1
    assert first.current.position == second.current.position == Position(1)


async def test_a_replica_that_gets_the_lock_after_a_rebuild_adopts_it(replicas, redis, orders):
    """It found nothing, then waited, and the other replica was faster."""
    first, second = replicas
    step_back = second.recovery._step_back

    async def slowly(verdict):
        await step_back(verdict)
        await first.look()

    second.recovery._step_back = slowly
    await second.look()
    assert orders.present == 1
    assert second.current.position == Position(1)
    assert second.readiness == [False, True]


async def test_a_redis_with_an_older_generation_than_orders_serves_reads_only_until_it_is_rebuilt(
    replica, ledger, orders
):
    await replica.look()
    orders.present = 4
    ledger.down = True
    with pytest.raises(Unavailable):
        await replica.look()
    assert await replica.stock() == Stock(10, 10)
    assert (await replica.hold("a")).reason == "STOCK_REBUILDING"
    assert replica.readiness[-1] is False
    ledger.down = False
    await replica.look()
    assert isinstance(await replica.hold("a"), Hold)
    assert replica.current.position.generation == 5
    assert replica.readiness[-1] is True


async def test_restored_orders_start_a_generation_above_redis(replica, redis, orders):
    orders.present = 6
    await replica.look()
    await replica.hold("a")
    assert replica.current.position.generation == 7
    orders.present = 3
    await replica.look()
    assert replica.current.position == Position(8)
    # Redis's event ids continue above existing ones, even if all else is lost.
    await replica.hold("b")
    await redis.delete(MARKER)
    orders.present = 3
    await replica.look()
    assert replica.current.position == Position(9)
    assert isinstance(await replica.hold("c"), Hold)
    assert await redis.xlen(EVENTS) == 3


async def test_a_generation_started_during_the_check_is_not_a_loss(replicas, redis, orders):
    first, second = replicas
    await second.look()
    generation = orders.generation

    async def rebuilt_meanwhile():
        before = await generation()
        orders.generation = generation
        await redis.flushall()
        await first.look()
        return before

    orders.generation = rebuilt_meanwhile
    await second.look()
    assert orders.present == 2
    assert second.current.position == Position(2)


async def test_a_stock_found_wrong_is_replaced_once(replica, orders):
    await replica.look()
    owns(orders, "sold elsewhere", 4)
    replica.current.retire(1)
    await replica.look()
    assert await replica.stock() == Stock(10, 6, 0, 4)
    assert False not in replica.readiness[1:]
    replica.current.retire(1)
    await replica.look()
    assert orders.present == 2


async def test_a_lost_stock_is_not_served_while_orders_is_down(replica, orders):
    orders.down = True
    with pytest.raises(Unavailable):
        await replica.look()
    assert replica.readiness[-1] is False
    assert (await replica.hold("a")).reason == "STOCK_REBUILDING"
    orders.down = False
    await replica.look()
    assert isinstance(await replica.hold("a"), Hold)


async def test_an_intact_stock_is_served_while_orders_is_down(replicas, orders):
    first, second = replicas
    await first.look()
    orders.down = True
    await first.look()
    await second.look()
    assert isinstance(await first.hold("a"), Hold)
    assert isinstance(await second.hold("b"), Hold)


async def test_a_lost_stock_is_not_served_while_the_ledger_is_unreadable(replica, ledger, orders):
    ledger.down = True
    with pytest.raises(Unavailable):
        await replica.look()
    assert replica.readiness[-1] is False
    assert orders.present == 0


async def test_an_intact_stock_is_served_while_kafka_is_down(replicas, ledger):
    first, second = replicas
    await first.look()
    ledger.down = True
    await second.look()
    assert isinstance(await second.hold("a"), Hold)


async def test_a_replica_that_lost_the_lock_does_not_finish_its_rebuild(replica, redis, orders):
    async def another_takes_the_lock():
        await redis.set(REBUILD_LOCK, "other")

    orders.before_start = another_takes_the_lock
    with pytest.raises(Aborted):
        await replica.look()
    assert await redis.hget(MARKER, "generation") is None
    assert await staged(redis) == set()


async def test_redis_emptied_during_a_rebuild_is_rebuilt_again(replica, redis, orders):
    orders.before_start = redis.flushall
    with pytest.raises(Aborted):
        await replica.look()
    orders.before_start = None
    await replica.look()
    assert await replica.stock() == Stock(10, 10)


async def test_a_failed_rebuild_changes_nothing_and_leaves_no_staging_data(replica, redis, ledger, orders):
    """No fence moves before the new stock is complete."""
    await replica.look()
    keys = {key async for key in redis.scan_iter()}
    written = len(ledger.messages)

    async def out_of_memory():
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used // 2)

    ledger.before_end = out_of_memory
    replica.current.retire(1)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await replica.look()
    await redis.config_set("maxmemory", 0)
    assert orders.present == 1
    assert {key async for key in redis.scan_iter()} == keys
    assert len(ledger.messages) == written
    assert isinstance(await replica.hold("a"), Hold)
    ledger.before_end = None
    await replica.look()
    assert orders.present == 2


async def test_a_rebuild_that_fails_in_its_last_step_is_reported_and_recovers(replica, redis, orders, redis_server):
    await replica.look()
    owns(orders, "a", 3)

    async def redis_dies():
        orders.before_start = None
        redis_server.kill()

    orders.before_start = redis_dies
    replica.current.retire(1)
    with pytest.raises(Unavailable):
        await replica.look()
    assert orders.present == 2
    assert (await replica.hold("b")).reason == "STOCK_REBUILDING"
    assert replica.readiness[-1] is False
    redis_server.start()
    assert await replica.stock() == Stock(10, 10)

    async def healed():
        # The lock of the failed rebuild remains for a while, since it could not be released.
        await replica.look()
        assert await replica.stock() == Stock(10, 7, 0, 3)

    await passes(healed)
    assert replica.readiness[-1] is True
    assert isinstance(await replica.hold("b"), Hold)


async def test_the_last_step_works_with_full_memory(replica, redis, orders):
    """It needs almost no memory, and orders wait for it."""

    async def out_of_memory():
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used // 2)

    owns(orders, "a", 3)
    orders.before_start = out_of_memory
    await replica.look()
    await redis.config_set("maxmemory", 0)
    assert await replica.stock() == Stock(10, 7, 0, 3)


async def test_units_received_during_a_rebuild_are_in_the_new_stock_once(replica, ledger, orders):
    """They are written after the ledger was read; the follower adds them to the then current stock."""
    await replica.look()

    async def restocked():
        ledger.before_end = None
        await ledger.record_receipts([Receipt("ada r", "mug", 5)])
        with pytest.raises(Unavailable):
            await LedgerEntries(replica.store).handle(ledger.messages[-1:])

    ledger.before_end = restocked
    replica.current.retire(1)
    await replica.look()
    assert await replica.stock() == Stock(10, 10)
    for _ in range(2):
        await LedgerEntries(replica.store).handle(ledger.messages)
    assert await replica.stock() == Stock(15, 15)


async def test_invalid_ledger_entries_are_skipped_by_a_rebuild(replica, ledger):
    ledger.append(b"\xff\xff")
    ledger.append(LedgerEntry().SerializeToString())
    bad = LedgerEntry.FromString(ledger.messages[0].value)
    bad.occur_time.seconds = 10**15
    bad.listing.product.display_name = "Never"
    ledger.append(bad.SerializeToString())
    ledger.append(
        LedgerEntry(receipt={"product": "products/mug", "quantity": -5, "request_id": "x"}).SerializeToString()
    )
    ledger.append(b"")
    await ledger.record_receipts([Receipt("ada r", "mug", 5)])
    await replica.look()
    assert await replica.stock() == Stock(15, 15)
    assert (await replica.store.product("mug")).listing == MUG
    await LedgerEntries(replica.store).handle(ledger.messages)
    assert await replica.stock() == Stock(15, 15)


async def test_orders_that_own_more_than_was_received_leave_nothing_available(replica, orders):
    owns(orders, "a", 12)
    await replica.look()
    assert await replica.stock() == Stock(10, 0, 0, 10, short=2)


async def test_old_generations_leave_no_data(replica, redis):
    await redis.hset("stock:1:hold:old", "lines", "[]")
    await replica.look()
    await replica.hold("a")
    await redis.delete(MARKER)
    await replica.look()
    assert await staged(redis) == {(await redis.hget(MARKER, "prefix")).split(":")[1]}


async def test_a_replica_that_lost_the_lock_removes_no_data_of_another_rebuild(replica, redis):
    await replica.look()
    scripts = Scripts(redis, CurrentGeneration())
    await redis.hset("stock:theirs:product:mug", "on_hand", 1)
    await redis.hset("stock:mine:product:mug", "on_hand", 1)
    keys = [key async for key in redis.scan_iter(match="stock:*:*")]
    await redis.set(REBUILD_LOCK, "theirs")
    assert await scripts.call_alone("unlink", [MARKER, REBUILD_LOCK], "mine", "stock:mine:", *keys) == 1
    assert await redis.exists("stock:theirs:product:mug")
    assert await scripts.call_alone("unlink", [MARKER, REBUILD_LOCK], "theirs", "stock:theirs:", *keys) == 1
    assert await replica.stock() == Stock(10, 10)


async def test_a_redis_that_is_down_is_unavailable_and_the_replica_stays_ready(redis, ledger, orders):
    replica = Replica("unix:///nonexistent/redis.sock", ledger, orders)
    with pytest.raises(Unavailable):
        await replica.look()
    assert replica.readiness == [True]
    assert (await replica.hold("a")).reason == "STOCK_UNAVAILABLE"
