"""The marker of the stock in Redis, and the lock of rebuilds."""

from inventory_svc.generation import Position
from inventory_svc.marker import StockMarker
from inventory_svc.scripts import EVENTS, FORMAT, MARKER, REBUILD_LOCK


async def found(redis, **marker):
    await redis.hset(MARKER, mapping=marker)
    return await StockMarker(redis).find()


async def test_an_empty_redis_has_no_stock(redis):
    empty = await StockMarker(redis).find()
    assert (empty.position, empty.above) == (None, 0)
    assert empty.run == (await redis.info("server"))["run_id"]


async def test_a_new_stock_is_at_the_start_of_its_generation(redis):
    assert (await found(redis, generation=3, format=FORMAT)).position == Position(3, 0)
    assert (await found(redis, generation=3, format=FORMAT, sequence=8)).position == Position(3, 8)


async def test_a_stock_in_another_format_is_none_but_its_generation_is_used(redis):
    other = await found(redis, generation=3, format="1", sequence=8)
    assert (other.position, other.above) == (None, 3)


async def test_generations_begin_above_the_last_event(redis):
    await redis.xadd(EVENTS, {"event": ""}, id="5-2")
    assert (await found(redis, generation=3, format=FORMAT)).above == 5


async def test_a_lock_that_another_replica_has_is_not_waited_for(redis):
    first, second = (StockMarker(redis).rebuild_lock() for _ in range(2))
    assert await first.acquire()
    assert not await second.acquire()
    assert await redis.get(REBUILD_LOCK) == first.token


async def test_a_lock_is_renewed_until_it_is_lost(redis):
    lock = StockMarker(redis).rebuild_lock()
    assert await lock.acquire()
    await redis.pexpire(REBUILD_LOCK, 1000)
    assert await lock.renew()
    assert await redis.pttl(REBUILD_LOCK) > 1000
    await redis.set(REBUILD_LOCK, "another's")
    assert not await lock.renew()
