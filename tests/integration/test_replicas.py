"""One replica, or its sidecar, is killed while people order: nobody notices."""

import asyncio
import time

import pytest

from tests.integration.conftest import RECOVERY_LIMIT_S, eventually

BUYERS = 8
pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("part", ["orders-0", "orders-0-envoy", "inventory-0", "inventory-0-envoy"])
async def test_no_call_fails_when_one_replica_is_killed(stack, load, part):
    async with load.of(BUYERS):
        try:
            await asyncio.sleep(1)
            await asyncio.to_thread(stack.make, "kill", SVC=part)
            killed = time.monotonic()

            async def orders_flow():
                return load.taken_since(killed)[10 * BUYERS :]

            await eventually(orders_flow, within_s=RECOVERY_LIMIT_S)
        finally:
            await asyncio.to_thread(stack.make, "start", SVC=part)
    assert {status for _, _, status, _ in load.answers} <= {201, 202}
