"""Loops that use Redis end when they are cancelled."""

import asyncio
import contextlib
import random

import pytest
from redis.exceptions import RedisError

from inventory_svc.connection import connect

SEED = random.randrange(2**32)


async def test_no_cancellation_is_lost(redis_server):
    """Of cancellations at a random moment, redis-py alone loses most on Python 3.11."""
    print(f"seed {SEED}")
    moments, going = random.Random(SEED), True
    client = connect(redis_server.url, connect_timeout_s=0.5, timeout_s=1)

    async def work():
        while going:
            await client.ping()

    for _ in range(50):
        task = asyncio.create_task(work())
        await asyncio.sleep(moments.uniform(0, 0.003))
        task.cancel()
        await asyncio.wait([task], timeout=1)
        ended, going = task.done(), task.done()
        if not ended:
            await asyncio.wait([task], timeout=1)
        assert ended
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await client.aclose()


async def test_a_send_is_bounded(redis_server):
    client = connect(redis_server.url, connect_timeout_s=0.5, timeout_s=0.3)
    await client.ping()
    redis_server.freeze()
    try:
        # More than all buffers on the way hold.
        with pytest.raises((RedisError, OSError, TimeoutError)):
            await asyncio.wait_for(client.set("key", "x" * 64 * 1024 * 1024), 20)
    finally:
        redis_server.thaw()
    await asyncio.wait_for(client.ping(), 20)
    await client.aclose()
