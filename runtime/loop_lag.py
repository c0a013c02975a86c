"""How long the event loop keeps a timer waiting: what one turn costs everything else in the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Histogram

EVERY_S = 0.02
BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1)
LAG = Histogram("event_loop_lag_seconds", "Seconds by which a timer of the event loop is late.", buckets=BUCKETS)
BLOCKED = Histogram(
    "event_loop_blocked_seconds",
    "The part of that delay in which the loop's own thread used the CPU, so that a busy machine does not count.",
    buckets=BUCKETS,
)
Clock = Callable[[], float]


class LoopLag:
    """
    Observes on the running loop how late a timer of every 20 ms is, at about 5 µs each time.

    A turn that takes longer than the timer is seen up to 20 ms shorter than it was, depending on when it began.
    """

    def __init__(self, *, now: Clock = time.monotonic, used: Clock = time.thread_time) -> None:
        self._now, self._used = now, used
        self._loop = asyncio.get_running_loop()
        self._timer = self._next()

    def stop(self) -> None:
        """
        End the observation.
        """
        self._timer.cancel()

    def _next(self) -> asyncio.TimerHandle:
        self._due, self._used_before = self._now() + EVERY_S, self._used()
        return self._loop.call_later(EVERY_S, self._observe)

    def _observe(self) -> None:
        late_s = max(0.0, self._now() - self._due)
        LAG.observe(late_s)
        BLOCKED.observe(min(late_s, self._used() - self._used_before))
        self._timer = self._next()


@contextmanager
def observed() -> Iterator[None]:
    """
    Observe the running loop's lag while the block runs.
    """
    lag = LoopLag()
    try:
        yield
    finally:
        lag.stop()
