"""The current time, by the only clock that tests and simulations replace: the standard library's `time`."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """
    Return the current time.
    """
    return datetime.fromtimestamp(time.time(), UTC)


def now_ms() -> int:
    """
    Return the time in ms since 1970.
    """
    return time.time_ns() // 1_000_000
