"""How full Redis is, by what it says itself."""

import asyncio
import math

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inventory_svc import fullness
from inventory_svc.fullness import ratio


@pytest.mark.parametrize(("used", "limit", "full"), [(128, 256, 0.5), (300, 256, 300 / 256), (0, 256, 0)])
def test_the_part_of_its_memory_that_redis_takes(used, limit, full):
    assert ratio({"used_memory": used, "maxmemory": limit}) == full


def test_without_a_limit_nothing_can_be_full():
    assert math.isnan(ratio({"used_memory": 5, "maxmemory": 0}))
    assert math.isnan(ratio({"used_memory": 5}))


async def test_whether_redis_answers_is_told_of_the_last_look_and_the_looking_goes_on(monkeypatch):
    said, looks = [], []

    class Redis:
        async def info(self, section):
            assert section == "memory"
            looks.append(fullness.ANSWERS._value.get())
            if len(looks) == 2:
                raise RedisConnectionError
            if len(looks) == 4:
                raise asyncio.CancelledError
            return {"used_memory": 64 * len(looks), "maxmemory": 256}

    monkeypatch.setattr(fullness, "EVERY_S", 0)
    monkeypatch.setattr(fullness.log, "info", lambda event, error: said.append(error), raising=False)
    fullness.ANSWERS.set(0)
    with pytest.raises(asyncio.CancelledError):
        await fullness.watch(Redis())
    assert looks == [0, 1, 0, 1]
    assert fullness.USED._value.get() == 0.75
    assert said == ["ConnectionError"]
