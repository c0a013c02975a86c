"""How full Redis is, by what it says itself."""

import math

import pytest

from inventory_svc.fullness import ratio


@pytest.mark.parametrize(("used", "limit", "full"), [(128, 256, 0.5), (300, 256, 300 / 256), (0, 256, 0)])
def test_the_part_of_its_memory_that_redis_takes(used, limit, full):
    assert ratio({"used_memory": used, "maxmemory": limit}) == full


def test_without_a_limit_nothing_can_be_full():
    assert math.isnan(ratio({"used_memory": 5, "maxmemory": 0}))
