"""One replica, or its sidecar, is killed under load: no call fails."""

import asyncio

import pytest

BUYERS = 8


@pytest.mark.parametrize("part", ["orders-0", "orders-0-envoy", "inventory-0", "inventory-0-envoy"])
async def test_no_call_fails_when_one_replica_is_killed(stack, load, part):
    async with load.of(BUYERS):
        await asyncio.sleep(1)
        async with stack.killed(part, load, orders=10 * BUYERS):
            pass
    assert load.refusals == []
