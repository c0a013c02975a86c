"""The number of Redis calls for holding, committing and publishing; more of them fail the test."""

import asyncio
import time

import pytest

from inventory_svc import relay
from inventory_svc.relay import Relay
from inventory_svc.scripts import EVENTS
from inventory_svc.stock import Basket, Line, Receipt, Sale
from tests.support.fakes.inventory import FakePublisher
from tests.support.stock_port_suite import order_id
from tests.support.waiting import passes

TOGETHER = 100
"""Baskets that arrive in one call."""
FROM_CLIENTS = ("evalsha", "eval", "xread", "xtrim", "xrange", "set")
"""Commands that no script runs, so that each was a round trip."""


async def calls(redis):
    statistics = await redis.info("commandstats")
    return {name: statistics.get(f"cmdstat_{name}", {}).get("calls", 0) for name in FROM_CLIENTS}


async def since(redis, before):
    return {name: count - before[name] for name, count in (await calls(redis)).items() if count > before[name]}


@pytest.fixture
async def orders(store):
    await store.receive(Receipt("many", "mug", TOGETHER))
    return [order_id(str(number)) for number in range(TOGETHER)]


async def hold(store, orders):
    await store.hold([Basket(order, (Line("mug", 1),)) for order in orders])


async def test_baskets_of_one_call_are_one_call_to_redis(store, redis, orders):
    await hold(store, orders[:1])
    before = await calls(redis)
    await hold(store, orders[1:])
    assert await since(redis, before) == {"evalsha": 1}


async def test_orders_of_one_batch_are_sold_in_one_call_to_redis(store, redis, orders):
    await hold(store, orders)
    await store.commit([Sale(orders[0], ())])
    before = await calls(redis)
    await store.commit([Sale(order, (Line("mug", 1),)) for order in orders[1:]])
    assert await since(redis, before) == {"evalsha": 1}


async def test_events_that_trickle_in_are_published_in_batches(store, redis, orders):
    """The relay does not wake for each of them, since nobody waits for it."""
    publisher = FakePublisher()
    task = asyncio.create_task(Relay(redis, publisher, retry_s=0.05).run())

    async def empty():
        assert await redis.xlen(EVENTS) == 0

    try:
        await passes(empty)
        before, began = await calls(redis), time.monotonic()
        for order in orders:
            await hold(store, [order])
        await passes(empty)
        seconds, cost = time.monotonic() - began, await since(redis, before)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    rounds = seconds / relay.GATHER_S + 3
    assert cost["xread"] <= rounds, (cost, seconds)
    assert cost["xtrim"] <= rounds, (cost, seconds)
    assert cost.get("xrange", 0) <= seconds + 3, (cost, seconds)
