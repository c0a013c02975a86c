"""Figures of a period of a history: success rate, latency, and the longest time without service."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.lab.history import Call, Outcome

# Statuses that ask the client to retry: the call had no effect.
NOT_NOW = frozenset({0, 408, 429, 499, 500, 502, 503, 504})

# Service counts as restored once this share of calls succeeds for this long.
SERVED_SHARE, SERVED_S = 0.95, 3.0


@dataclass(frozen=True)
class Figures:
    """The figures of the calls that ended within a period."""

    seconds: float
    calls: int
    well: int  # with a response, whatever it was
    placed: int
    confirmed: int
    p99_s: float
    error_counts: dict[int, int]

    @property
    def success(self) -> float:
        """
        Return the share of calls with a response; 0 without any calls, because nothing shows that one would succeed.
        """
        return self.well / self.calls if self.calls else 0.0

    @property
    def confirmed_share(self) -> float:
        """Return the share of placed orders that were confirmed at once; 0 without any."""
        return self.confirmed / self.placed if self.placed else 0.0


def figures(calls: Iterable[Call], *, begin_s: float, end_s: float) -> Figures:
    """Return the figures of what ended between two times."""
    ended = [call for call in calls if begin_s <= call.ended_s < end_s and call.operation != "watch"]
    bad = [call for call in ended if not went_well(call)]
    placed = [call for call in ended if is_placed(call)]
    counts: dict[int, int] = {}
    for call in bad:
        counts[status(call)] = counts.get(status(call), 0) + 1
    return Figures(
        seconds=end_s - begin_s,
        calls=len(ended),
        well=len(ended) - len(bad),
        placed=len(placed),
        confirmed=sum(call.response["state"] == "CONFIRMED" for call in placed),
        p99_s=quantile([call.took_s for call in placed], 0.99),
        error_counts=counts,
    )


def went_well(call: Call) -> bool:
    """Return whether a call got a response, including a refusal."""
    return call.outcome is not Outcome.UNKNOWN and status(call) not in NOT_NOW


def is_placed(call: Call) -> bool:
    """Return whether a call placed an order that was acknowledged."""
    return call.operation == "place" and call.outcome is Outcome.OK


def status(call: Call) -> int:
    """Return the response of a call as an HTTP status; 0 if there was none."""
    return int(call.response.get("status", 0))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed; 0 for an empty list."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0


def longest_silence_s(calls: Iterable[Call], *, begin_s: float, end_s: float) -> float:
    """Return the longest time within the period without an acknowledged order."""
    return longest_gap_s((call.ended_s for call in calls if is_placed(call)), begin_s=begin_s, end_s=end_s)


def longest_gap_s(moments: Iterable[float], *, begin_s: float, end_s: float) -> float:
    """Return the longest time between two of the moments within a period, its ends included."""
    within = sorted(moment for moment in moments if begin_s <= moment < end_s)
    return max(later - earlier for earlier, later in itertools.pairwise([begin_s, *within, end_s]))


def restored_after_s(calls: Iterable[Call], *, after_s: float, step_s: float = 0.5) -> float | None:
    """
    Return how long after *after_s* service was restored for at least three seconds; None if it never was.
    """
    ended = sorted((call for call in calls if after_s <= call.ended_s < math.inf), key=lambda call: call.ended_s)
    if not ended:
        return None
    for step in range(int((ended[-1].ended_s - after_s) / step_s) + 1):
        begin_s = after_s + step * step_s
        some = figures(ended, begin_s=begin_s, end_s=begin_s + SERVED_S)
        if some.placed and some.success >= SERVED_SHARE:
            return begin_s - after_s
    return None
