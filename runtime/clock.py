"""The current time: the clock that tests replace."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """
    Return the current time.
    """
    return datetime.now(UTC)


def now_ms() -> int:
    """
    Return the time in ms since 1970.
    """
    return time.time_ns() // 1_000_000
