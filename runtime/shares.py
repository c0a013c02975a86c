"""Shares of limited slots, so that no single caller can take all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.errors import ResourceExhausted


class Shares:
    """
    At most *total* at a time, and at most *each* of them one caller's; *what* names them in errors.
    """

    def __init__(self, what: str, *, total: int, each: int, retry_after_s: float = 1) -> None:
        self._what, self._total, self._each = what, total, each
        self._retry_after_s = retry_after_s
        self._held: Counter[str] = Counter()
        self._sum = 0

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """
        Take one for *caller* while the block runs, or raise `ResourceExhausted` at once.
        """
        if self._held[caller] >= self._each:
            raise self._refusal(f"too many {self._what} of one caller at a time", "CALLER_OVER_ITS_SHARE")
        if self._sum >= self._total:
            raise self._refusal(f"too many {self._what} at a time", "OVERLOADED")
        self._held[caller] += 1
        self._sum += 1
        try:
            yield
        finally:
            self._sum -= 1
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]

    def _refusal(self, message: str, reason: str) -> ResourceExhausted:
        return ResourceExhausted(message, reason=reason, retry_after_s=self._retry_after_s)
