"""The remaining time of the current call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_end: ContextVar[float | None] = ContextVar("deadline", default=None)


def remaining_s(default: float) -> float:
    """
    Return the remaining seconds of the current call, never below 0; *default* outside of a call.
    """
    end = _end.get()
    return default if end is None else max(0.0, end - time.monotonic())


@contextmanager
def ends_in(seconds: float) -> Iterator[None]:
    """
    Limit the block to *seconds*, or to the caller's remaining time if that is less.
    """
    end = time.monotonic() + seconds
    outer = _end.get()
    token = _end.set(end if outer is None else min(outer, end))
    try:
        yield
    finally:
        _end.reset(token)
