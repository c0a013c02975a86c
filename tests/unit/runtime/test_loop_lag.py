"""The measure of how long an event loop is blocked."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from runtime import loop_lag


def above(name, seconds):
    """Return how many observations of a histogram exceeded *seconds*, so far."""
    count = REGISTRY.get_sample_value(f"{name}_count")
    return count - REGISTRY.get_sample_value(f"{name}_bucket", {"le": str(seconds)})


@pytest.mark.parametrize(
    ("turn", "blocked"),
    [
        pytest.param(lambda: spin(0.2), True, id="a turn that computes"),
        pytest.param(lambda: time.sleep(0.2), False, id="a thread that does not run"),
    ],
)
async def test_a_long_turn_is_seen(turn, blocked):
    late, kept = above("event_loop_lag_seconds", 0.1), above("event_loop_blocked_seconds", 0.1)
    with loop_lag.observed():
        await asyncio.sleep(0.05)
        turn()
        await asyncio.sleep(0.05)
    assert above("event_loop_lag_seconds", 0.1) > late
    assert (above("event_loop_blocked_seconds", 0.1) > kept) is blocked


async def test_short_turns_are_not_taken_for_a_long_one():
    before = above("event_loop_blocked_seconds", 0.1)
    with loop_lag.observed():
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            spin(0.005)
            await asyncio.sleep(0)
    assert above("event_loop_blocked_seconds", 0.1) == before


async def test_nothing_is_observed_after_the_end():
    with loop_lag.observed():
        await asyncio.sleep(0.05)
    count = REGISTRY.get_sample_value("event_loop_lag_seconds_count")
    await asyncio.sleep(0.05)
    assert REGISTRY.get_sample_value("event_loop_lag_seconds_count") == count > 0


def spin(seconds):
    """Use the CPU for *seconds*."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
