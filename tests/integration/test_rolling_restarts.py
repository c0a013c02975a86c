"""Every replica in turn is restarted gracefully under load: no call fails."""

import asyncio
import os
import time
from collections import Counter
from functools import partial

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stack.topology.addresses import Host, Port
from stack.topology.plan import REPLICAS
from tests.integration.conftest import RECOVERY_LIMIT_S
from tests.support.waiting import eventually

# With the pause between two orders of one buyer, about 40 orders a second.
BUYERS = 8
ROUNDS = int(os.environ.get("ROUNDS", "1"))
# More than are ordered in the longest time that a round may take.
STOCK = 10_000 * ROUNDS
PARTS = [f"{service}-{replica}" for service in ("inventory", "orders") for replica in REPLICAS]


async def test_every_order_is_confirmed_at_once_and_the_stock_is_not_rebuilt(stack, load):
    await stack.restock(load.basket["lines"][0]["product"], STOCK)
    generations = await served(stack)
    assert len(set(generations)) == 1
    async with load.of(BUYERS):
        for part in PARTS * ROUNDS:
            await asyncio.to_thread(stack.make, "restart", SVC=part)
            moment = time.monotonic()
            await eventually(partial(flowing, load, moment), within_s=RECOVERY_LIMIT_S)
    assert Counter(status for _, _, status, _ in load.answers) == {201: len(load.answers)}
    assert await served(stack) == generations


async def flowing(load, moment):
    """Return whether orders that began after *moment* are acknowledged."""
    return load.taken_since(moment)[5 * BUYERS :]


async def served(stack):
    """Return the stock generation of each replica of inventory."""
    async with httpx.AsyncClient(timeout=5) as client:
        return [await generation(client, stack.network.at(Host.INVENTORY, Port.METRICS, each)) for each in REPLICAS]


async def generation(client, address):
    text = (await client.get(f"http://{address}/metrics")).text
    (family,) = [each for each in text_string_to_metric_families(text) if each.name == "inventory_generation"]
    (sample,) = family.samples
    assert sample.value > 0
    return sample.value
