"""The board's figures over a period, from Prometheus: of the whole system, or of the calls between two services."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.pages import queries
from gateway.pages.prometheus import Prometheus, Series
from runtime.errors import InvalidArgument

Json = dict[str, Any]
Points = Sequence[tuple[float, float]]
PERIODS_S: Mapping[str, int] = {"15m": 900, "1h": 3600, "6h": 21_600, "1d": 86_400, "7d": 604_800}
POINTS = 240
"""Of each line, so that a week costs as much as a quarter of an hour."""
MIN_STEP_S = 5
MAX_LINES = 12
"""Of one chart; further ones are left out."""
MAX_MARKS = 50
MAX_KEPT = 16
"""Different histories that are kept for a moment; a further one replaces the oldest."""
SERVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class UnknownPeriod(InvalidArgument):
    """The period is none of those that can be asked for, or a service's name is not one."""

    reason = "UNKNOWN_PERIOD"


@dataclass(frozen=True)
class Window:
    """A period up to *end_s*, in steps that are multiples of *step_s* since 1970, so that it does not jitter."""

    period: str
    end_s: float

    @property
    def step_s(self) -> int:
        """Return the seconds from one point to the next."""
        return max(MIN_STEP_S, math.ceil(PERIODS_S[self.period] / POINTS))

    @property
    def times(self) -> list[float]:
        """Return the moments of the points."""
        last = self.end_s // self.step_s * self.step_s
        count = PERIODS_S[self.period] // self.step_s
        return [last - back * self.step_s for back in range(count, -1, -1)]

    @property
    def rate(self) -> str:
        """Return the period of rates at each point: no observation between two points is left out."""
        return f"{max(self.step_s, queries.RATE_S)}s"


class History:
    """Reads histories; each for all viewers together, and a new one at most once a step."""

    def __init__(self, prometheus: Prometheus, clock: Callable[[], float] = time.time) -> None:
        self._prometheus = prometheus
        self._clock = clock
        self._lock = asyncio.Lock()
        self._kept: dict[tuple[str, str, str], tuple[float, Json]] = {}

    async def read(self, period: str, caller: str = "", callee: str = "") -> Json:
        """
        Return the figures over *period*, of the calls from *caller* to *callee* if these are given.

        Raises `UnknownPeriod`.
        """
        if period not in PERIODS_S:
            raise UnknownPeriod(f"the period is one of {', '.join(PERIODS_S)}")
        if (caller or callee) and not (SERVICE.fullmatch(caller) and SERVICE.fullmatch(callee)):
            raise UnknownPeriod("`from` and `to` are the names of two services")
        key = (period, caller, callee)
        # One at a time: Prometheus answers each in parallel already.
        async with self._lock:
            window = Window(period, self._clock())
            at, found = self._kept.pop(key, (0.0, {}))
            if at != window.times[-1]:
                found = await self._read(window, caller, callee)
            self._kept[key] = (window.times[-1], found)
            while len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return found

    async def _read(self, window: Window, caller: str, callee: str) -> Json:
        charts = queries.hop(caller, callee, window.rate) if caller else queries.history(window.rate)
        wanted = {**charts, **queries.MARKS}
        times = window.times
        found = await asyncio.gather(
            *(self._prometheus.between(query, times[0], times[-1], window.step_s) for query in wanted.values())
        )
        answers = dict(zip(wanted, found, strict=True))
        return {
            "period": window.period,
            "step": window.step_s,
            "at": times,
            "charts": {name: lines(answers[name], times) for name in charts},
            "faults": spans(answers["faults"], window.step_s),
            "outages": spans(answers["outages"], window.step_s),
            "starts": starts(answers["starts"], times[0]),
        }


def lines(series: Iterable[Series], times: Sequence[float]) -> list[Json]:
    """
    Return the lines of a chart by the values of their labels: a value or null for each of *times*.
    """
    found = [{"name": " ".join(each.labels.values()), "values": _aligned(each.points, times)} for each in series]
    return sorted(found, key=lambda line: str(line["name"]))[:MAX_LINES]


def _aligned(points: Points, times: Sequence[float]) -> list[float | None]:
    known = {round(at): value for at, value in points if math.isfinite(value)}
    return [known.get(round(at)) for at in times]


def spans(series: Iterable[Series], step_s: float) -> list[tuple[float, float]]:
    """
    Return from when to when a series was above 0, the latest ones; one point is a step long.
    """
    found: list[tuple[float, float]] = []
    for each in series:
        for at, value in each.points:
            if not value > 0:
                continue
            if found and at - found[-1][1] <= step_s:
                found[-1] = (found[-1][0], at)
            else:
                found.append((at - step_s, at))
    return found[-MAX_MARKS:]


def starts(series: Iterable[Series], since_s: float) -> list[Json]:
    """
    Return when processes started after *since_s*, the latest ones: a restart, or a deployment if all of a service do.
    """
    found = {
        (value, each.labels.get("service", ""), each.labels.get("pod", ""))
        for each in series
        for _, value in each.points
        if value > since_s
    }
    return [{"at": at, "service": service, "pod": pod} for at, service, pod in sorted(found)[-MAX_MARKS:]]
