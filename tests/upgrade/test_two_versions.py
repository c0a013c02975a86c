"""
An earlier version and this one side by side, on one database, Redis and Kafka, under load: no call fails.

Not part of `make test`: make integration TESTS=tests/upgrade BASE=v1.2.3 (the newest tag, or HEAD~20).
"""

import asyncio
from collections import Counter

import httpx

from shop_client import rest
from tests.integration.test_rolling_restarts import served
from tests.support.waiting import eventually

BUYERS = 4
STOCK = 20_000
FLOWS_S = 20
ENDED_S = 60


async def test_a_roll_back_and_forward_under_load_fails_no_call(stack, load, at_base):
    await stack.restock(load.basket["lines"][0]["product"], STOCK)
    generations = await served(stack)
    async with load.of(BUYERS):
        # The earlier version's orders before this one's inventory, and the other way round.
        async with at_base("orders-0"):
            await orders_flow(load)
            async with at_base("inventory-1"):
                await orders_flow(load)
        # All replicas of both services are the earlier version's, on this one's schema, topics and keys.
        async with at_base("orders-0", "inventory-0", "orders-1", "inventory-1"):
            await orders_flow(load)
        await orders_flow(load)
    # A replica's pause may make an order wait for its hold (202); nothing is refused or fails.
    answers = Counter(status for _, _, status, _ in load.answers)
    assert set(answers) <= {httpx.codes.CREATED, httpx.codes.ACCEPTED}, answers
    pending = [name for _, _, status, name in load.answers if status == httpx.codes.ACCEPTED]
    assert await rest.unconfirmed([load.edge], pending, within_s=ENDED_S) == set()
    assert await served(stack) == generations
    assert await dead_letters(stack) == 0
    assert ", 0 left" in await asyncio.to_thread(stack.make, "reconcile")


async def orders_flow(load):
    """Wait until some hundred orders that began now are acknowledged."""
    moment = asyncio.get_running_loop().time()
    await eventually(lambda: enough(load, moment), within_s=FLOWS_S)


async def enough(load, moment):
    return load.taken_since(moment)[100:]


async def dead_letters(stack):
    async with stack.client("otto", operator=True) as operator:
        answer = await operator.get("/v1/backlog")
    assert answer.status_code == httpx.codes.OK, answer.text
    return int(answer.json().get("deadLetters", 0))
