"""Used memory and availability of Redis, from its own statistics."""

import asyncio
import math

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inventory_svc import fullness
from inventory_svc.fullness import ratio


@pytest.mark.parametrize(("used", "limit", "full"), [(128, 256, 0.5), (300, 256, 300 / 256), (0, 256, 0)])
def test_used_memory_is_a_share_of_the_limit(used, limit, full):
    assert ratio({"used_memory": used, "maxmemory": limit}) == full


def test_without_a_limit_the_share_is_0():
    assert math.isnan(ratio({"used_memory": 5, "maxmemory": 0}))
    assert math.isnan(ratio({"used_memory": 5}))


async def test_redis_up_is_that_of_the_last_probe_and_probing_continues(monkeypatch):
    errors, looks = [], []

    class Redis:
        async def info(self, section):
            assert section == "memory"
            looks.append(fullness.UP._value.get())
            if len(looks) == 2:
                raise RedisConnectionError
            if len(looks) == 4:
                raise asyncio.CancelledError
            return {"used_memory": 64 * len(looks), "maxmemory": 256}

    monkeypatch.setattr(fullness, "EVERY_S", 0)
    monkeypatch.setattr(fullness.log, "info", lambda event, error: errors.append(error), raising=False)
    fullness.UP.set(0)
    with pytest.raises(asyncio.CancelledError):
        await fullness.watch(Redis())
    assert looks == [0, 1, 0, 1]
    assert fullness.USED._value.get() == 0.75
    assert errors == ["ConnectionError"]
