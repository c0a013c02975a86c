"""When Redis loses its data, and when it only seems so; against a real Redis."""

import asyncio

import pytest

from inventory_svc.connection import connect
from inventory_svc.rebuild import Guardian
from inventory_svc.scripts import MARKER, REBUILD_LOCK, Position, Scripts
from inventory_svc.stock import Basket, Hold, Line, Listing, Money, Receipt, Sale, Stock
from inventory_svc.store import Store
from runtime.errors import Aborted, Unavailable
from tests.integration.inventory.fakes import FakeLedger, FakeOrders
from tests.integration.inventory.servers import eventually


class Replica:
    """One replica's eyes on Redis."""

    def __init__(self, url, ledger, orders):
        self.redis = connect(url, connect_timeout_s=0.5, timeout_s=2)
        self.scripts = Scripts(self.redis)
        self.store = Store(self.scripts, lease_ms=60_000, grace_ms=0, keep_ms=600_000, backlog_limit=1000)
        self.said = []
        self.guardian = Guardian(self.scripts, ledger, orders, on_ready=self.say, every_s=0.05)

    async def say(self, ready):
        self.said.append(ready)

    async def hold(self, order, units=1):
        (outcome,) = await self.store.hold([Basket(order, (Line("mug", units),))])
        return outcome

    async def stock(self):
        stock = (await self.store.product("mug")).stock
        assert stock.adds_up()
        return stock


@pytest.fixture
async def ledger():
    ledger = FakeLedger()
    await ledger.record_listings([Listing("mug", "Mug", "A mug.", Money("EUR", 12), 0)], 1)
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


async def test_a_first_start_builds_the_stock_from_the_ledger(replica):
    await replica.guardian.look()
    assert await replica.stock() == Stock(10, 10)
    assert replica.scripts.position == Position(1)
    assert replica.said == [False, True]


async def test_a_rebuild_takes_what_orders_own_and_forgets_what_was_only_held(replica, redis, orders):
    await replica.guardian.look()
    for order in ("confirmed", "only-held"):
        await replica.hold(order, 2)
    orders.confirmed["confirmed"] = Sale("confirmed", (Line("mug", 2),))
    orders.fulfilled["fulfilled"] = Sale("fulfilled", (Line("mug", 1),))
    await redis.flushall()
    await replica.guardian.look()
    assert await replica.stock() == Stock(10, 7, 0, 3)
    assert (await replica.hold("confirmed", 2)).lines[0].unit_price == Money("EUR", 12)
    (released,) = await replica.store.release(["confirmed"])
    assert isinstance(released, Hold)
    assert await replica.stock() == Stock(10, 9, 0, 1)


async def test_receipts_of_before_do_not_come_in_again(replica, redis, ledger):
    await replica.guardian.look()
    await redis.flushall()
    await replica.guardian.look()
    await replica.store.receive(Receipt("seed mug", "mug", 10))
    assert await replica.stock() == Stock(10, 10)


async def test_of_two_receipts_with_one_request_the_first_counts(replica, ledger):
    await ledger.record_receipts([Receipt("ada r", "mug", 1), Receipt("ada r", "mug", 5)])
    await replica.guardian.look()
    assert await replica.stock() == Stock(11, 11)


async def test_a_running_replica_notices_at_its_next_call(replica, redis):
    await replica.guardian.look()
    watching = asyncio.create_task(replica.guardian.run())
    await redis.flushall()
    assert isinstance(await replica.hold("a"), Unavailable)

    async def back():
        assert isinstance(await replica.hold("a"), Hold)

    await eventually(back)
    watching.cancel()
    assert replica.said[-2:] == [False, True]
    assert replica.scripts.position.generation == 2


async def test_data_older_than_the_replica_saw_is_not_served(replica, redis):
    await replica.guardian.look()
    before = await redis.dump("stock:marker")
    await replica.hold("a")
    await redis.restore("stock:marker", 0, before, replace=True)
    await replica.guardian.look()
    assert replica.scripts.position == Position(2)
    assert await replica.stock() == Stock(10, 10)


async def test_data_older_than_the_published_events_is_not_served_by_a_new_replica(replicas, ledger):
    first, second = replicas
    await first.guardian.look()
    await first.hold("a")
    ledger.published = Position(1, 7)
    await second.guardian.look()
    assert second.scripts.position == Position(2)


async def test_data_of_an_older_generation_than_the_ledgers_is_not_served_by_a_new_replica(
    replicas, redis, ledger, orders
):
    first, second = replicas
    await first.guardian.look()
    orders.generation = 4
    await ledger.record_rebuild(4)
    await second.guardian.look()
    assert second.scripts.position == Position(5)


async def test_the_other_replica_adopts_what_was_rebuilt(replicas, redis):
    first, second = replicas
    await first.guardian.look()
    await second.guardian.look()
    await redis.flushall()
    await first.guardian.look()
    assert isinstance(await second.hold("a"), Unavailable)
    await second.guardian.look()
    assert isinstance(await second.hold("a"), Hold)
    assert second.scripts.position.generation == 2


async def test_only_one_replica_rebuilds(replicas, orders):
    first, second = replicas
    await asyncio.gather(first.guardian.look(), second.guardian.look())
    await asyncio.gather(first.guardian.look(), second.guardian.look())
    assert orders.generation == 1
    assert first.scripts.position == second.scripts.position == Position(1)


async def test_nothing_is_served_while_orders_cannot_be_asked(replica, orders):
    orders.down = True
    with pytest.raises(Unavailable):
        await replica.guardian.look()
    assert replica.said == [False]
    assert (await replica.hold("a")).reason == "STOCK_REBUILDING"
    orders.down = False
    await replica.guardian.look()
    assert isinstance(await replica.hold("a"), Hold)


async def test_nothing_is_served_while_the_ledger_cannot_be_read(replica, ledger):
    ledger.down = True
    with pytest.raises(Unavailable):
        await replica.guardian.look()
    assert replica.said == [False]


async def test_kafka_being_down_does_not_keep_a_replica_from_serving_what_is_there(replicas, ledger):
    first, second = replicas
    await first.guardian.look()
    ledger.down = True
    await second.guardian.look()
    assert isinstance(await second.hold("a"), Hold)


async def test_a_replica_that_lost_the_lock_does_not_finish_its_rebuild(replica, redis, orders):
    real = orders.allocations

    async def slow_allocations():
        # Another replica took the lock meanwhile.
        await redis.set(REBUILD_LOCK, "other")
        async for page in real():
            yield page

    orders.allocations = slow_allocations
    with pytest.raises(Aborted):
        await replica.guardian.look()
    assert await redis.hget(MARKER, "generation") is None


async def test_redis_emptied_again_while_it_is_rebuilt_is_rebuilt_again(replica, redis, orders):
    real = orders.allocations

    async def emptied():
        await redis.flushall()
        async for page in real():
            yield page

    orders.allocations = emptied
    with pytest.raises(Aborted):
        await replica.guardian.look()
    orders.allocations = real
    await replica.guardian.look()
    assert await replica.stock() == Stock(10, 10)


async def test_orders_that_own_more_than_came_in_leave_nothing_to_sell(replica, orders):
    orders.confirmed["a"] = Sale("a", (Line("mug", 12),))
    await replica.guardian.look()
    assert await replica.stock() == Stock(10, 0, 0, 10, short=2)


async def test_old_generations_leave_nothing_behind(replica, redis):
    await replica.guardian.look()
    await replica.hold("a")
    await redis.delete(MARKER)
    await replica.guardian.look()
    keys = [key async for key in redis.scan_iter(match="stock:[0-9]*")]
    assert keys
    assert all(key.startswith("stock:2:") for key in keys)


async def test_a_redis_that_is_down_is_told_as_such_and_the_replica_stays_ready(redis, ledger, orders):
    replica = Replica("unix:///nonexistent/redis.sock", ledger, orders)
    with pytest.raises(Unavailable):
        await replica.guardian.look()
    assert replica.said == [True]
    assert (await replica.hold("a")).reason == "STOCK_UNAVAILABLE"
