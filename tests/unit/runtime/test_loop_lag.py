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


class Cpu:
    """The thread's clock of the CPU; what computes lets the loop's time pass too."""

    def __init__(self):
        self.used_s = 0.0

    def compute(self, seconds):
        self.used_s += seconds
        wait(seconds)

    def observe(self):
        return loop_lag.LoopLag(now=time.monotonic, used=lambda: self.used_s)


def wait(seconds):
    """Let the loop's time pass within one turn."""
    asyncio.get_running_loop().advance(seconds)


@pytest.mark.parametrize("blocked", [True, False], ids=["a turn that computes", "a thread that does not run"])
async def test_a_long_turn_is_seen(blocked):
    late, kept = above("event_loop_lag_seconds", 0.1), above("event_loop_blocked_seconds", 0.1)
    cpu = Cpu()
    lag = cpu.observe()
    await asyncio.sleep(0.05)
    (cpu.compute if blocked else wait)(0.2)
    await asyncio.sleep(0.05)
    lag.stop()
    assert above("event_loop_lag_seconds", 0.1) > late
    assert (above("event_loop_blocked_seconds", 0.1) > kept) is blocked


async def test_short_turns_are_not_taken_for_a_long_one():
    before, observed = above("event_loop_blocked_seconds", 0.1), above("event_loop_blocked_seconds", 0.001)
    cpu = Cpu()
    lag = cpu.observe()
    for _ in range(60):
        cpu.compute(0.005)
        await asyncio.sleep(0)
    lag.stop()
    assert above("event_loop_blocked_seconds", 0.1) == before
    assert above("event_loop_blocked_seconds", 0.001) > observed


async def test_the_threads_own_cpu_is_measured():
    before = above("event_loop_blocked_seconds", 0.05)
    with loop_lag.observed():
        wait(0.2)
        spin(0.06)
        await asyncio.sleep(0.05)
    assert above("event_loop_blocked_seconds", 0.05) > before


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
