"""Limits of a call: its share of what is limited, and its time."""

import contextlib
import time

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


def test_nobody_has_more_than_their_share_and_all_together_no_more_than_there_is(shares):
    with contextlib.ExitStack() as held:
        for caller in ("ann", "ann"):
            held.enter_context(shares.one(caller))
        assert reason(shares, "ann") == "CALLER_OVER_ITS_SHARE"
        held.enter_context(shares.one("bob"))
        assert reason(shares, "bob") == "OVERLOADED"
        assert reason(shares, "eve") == "OVERLOADED"


def test_what_is_given_back_is_there_for_others_also_after_a_failure(shares):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), shares.one("ann"):
            1 / 0  # noqa: B018
    with shares.one("ann"), shares.one("ann"), shares.one("bob"):
        assert reason(shares, "eve") == "OVERLOADED"
    with shares.one("eve"), shares.one("eve"):
        assert reason(shares, "eve") == "CALLER_OVER_ITS_SHARE"


def test_who_has_nothing_is_not_remembered(shares):
    with shares.one("ann"):
        with shares.one("ann"):
            pass
        assert dict(shares._held) == {"ann": 1}
    assert not shares._held


def test_outside_of_a_call_there_is_the_usual_time():
    assert deadline.remaining_s(7) == 7


def test_a_call_has_its_time_and_never_less_than_none():
    with deadline.ends_in(100):
        assert 99 < deadline.remaining_s(7) <= 100
    with deadline.ends_in(-5):
        assert deadline.remaining_s(7) == 0
    assert deadline.remaining_s(7) == 7


@pytest.mark.parametrize(("outer", "inner", "left"), [(100, 10, 10), (10, 100, 10)])
def test_what_runs_inside_has_no_more_than_who_called_it(outer, inner, left):
    with deadline.ends_in(outer):
        with deadline.ends_in(inner):
            assert left - 1 < deadline.remaining_s(7) <= left
        assert outer - 1 < deadline.remaining_s(7) <= outer


def test_time_that_passes_is_no_longer_left():
    with deadline.ends_in(5):
        before = deadline.remaining_s(7)
        time.sleep(0.01)
        assert deadline.remaining_s(7) <= before - 0.01
