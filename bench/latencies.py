"""Statistics of single calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Called:
    """The results of calls: successes, their rate and latencies, and failures."""

    served: int
    per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    failed: int


def called(served_ms: Sequence[float], *, failed: int, seconds: float) -> Called:
    """
    Return the statistics of the calls of so many *seconds*; *served_ms* are the latencies of the successful ones.
    """
    ordered = sorted(served_ms)
    return Called(
        served=len(ordered),
        per_s=len(ordered) / seconds,
        p50_ms=quantile(ordered, 0.5),
        p99_ms=quantile(ordered, 0.99),
        p999_ms=quantile(ordered, 0.999),
        failed=failed,
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """
    Return the value that *share* of the sorted values do not exceed; 0 without values.
    """
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0
