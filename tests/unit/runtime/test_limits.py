"""The limits of a call: its share of slots, and its deadline."""

import asyncio
import contextlib

import pytest

from runtime import deadline
from runtime.errors import ResourceExhausted
from runtime.shares import Shares


def reason(shares, caller):
    with pytest.raises(ResourceExhausted) as refused, shares.one(caller):
        pass
    assert refused.value.retry_after_s == 3
    assert "watches" in refused.value.message
    return refused.value.reason


@pytest.fixture
def shares():
    return Shares("watches", total=3, each=2, retry_after_s=3)


def test_shares_are_limited_per_caller_and_in_total(shares):
    with contextlib.ExitStack() as held:
        for caller in ("ann", "ann"):
            held.enter_context(shares.one(caller))
        assert reason(shares, "ann") == "CALLER_OVER_ITS_SHARE"
        held.enter_context(shares.one("bob"))
        assert reason(shares, "bob") == "OVERLOADED"
        assert reason(shares, "eve") == "OVERLOADED"


def test_released_slots_are_available_also_after_an_error(shares):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), shares.one("ann"):
            1 / 0  # noqa: B018
    with shares.one("ann"), shares.one("ann"), shares.one("bob"):
        assert reason(shares, "eve") == "OVERLOADED"
    with shares.one("eve"), shares.one("eve"):
        assert reason(shares, "eve") == "CALLER_OVER_ITS_SHARE"


def test_callers_without_slots_are_forgotten(shares):
    with shares.one("ann"):
        with shares.one("ann"):
            pass
        assert dict(shares._held) == {"ann": 1}
    assert not shares._held


def test_outside_of_a_call_the_default_applies():
    assert deadline.remaining_s(7) == 7


def test_the_remaining_time_is_never_negative():
    with deadline.ends_in(100):
        assert 99 < deadline.remaining_s(7) <= 100
    with deadline.ends_in(-5):
        assert deadline.remaining_s(7) == 0
    assert deadline.remaining_s(7) == 7


@pytest.mark.parametrize(("outer", "inner", "left"), [(100, 10, 10), (10, 100, 10)])
def test_a_nested_deadline_never_exceeds_the_outer_one(outer, inner, left):
    with deadline.ends_in(outer):
        with deadline.ends_in(inner):
            assert left - 1 < deadline.remaining_s(7) <= left
        assert outer - 1 < deadline.remaining_s(7) <= outer


async def test_the_remaining_time_decreases():
    with deadline.ends_in(5):
        before = deadline.remaining_s(7)
        await asyncio.sleep(0.01)
        assert deadline.remaining_s(7) <= before - 0.01
