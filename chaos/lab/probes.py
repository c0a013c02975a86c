"""Measures the probes of an experiment: recent figures, backlogs, health, and PromQL expressions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.lab import prometheus
from chaos.lab.environment import Environment
from chaos.lab.experiment import Bound
from chaos.lab.figures import Figures, figures, is_placed
from chaos.lab.history import History
from chaos.lab.samples import Sampler

# The length of the window of figures, in seconds.
WINDOW_S = 3.0
FRESH_S = 4.0


@dataclass(frozen=True)
class Reading:
    """A condition and its value; None if it could not be measured."""

    bound: Bound
    value: float | None

    @property
    def good(self) -> bool:
        """Return whether the condition holds."""
        return self.bound.holds(self.value)

    def describe(self) -> str:
        """Return the reading as text."""
        found = "could not be measured" if self.value is None else f"{self.value:.3g}"
        return f"{self.bound.describe()}: {found}"


class Probes:
    """Measures the conditions while an experiment runs."""

    def __init__(
        self,
        history: History,
        sampler: Sampler,
        environment: Environment,
        prometheus_url: str,
    ) -> None:
        self._history = history
        self._sampler = sampler
        self._environment = environment
        self._prometheus = prometheus_url

    async def read(self, bounds: Sequence[Bound], *, since_s: float = 0.0) -> list[Reading]:
        """Measure every condition; figures cover the last `WINDOW_S`, but nothing before *since_s*."""
        now = self._history.now()
        window = figures(self._history.calls, begin_s=max(since_s, now - WINDOW_S), end_s=now)
        return [Reading(bound, await self._value(bound, window, now)) for bound in bounds]

    async def unhealthy(self) -> dict[str, str]:
        """Return the unhealthy parts, with a detail for each."""
        return await asyncio.to_thread(self._environment.unhealthy)

    async def _value(self, bound: Bound, window: Figures, now: float) -> float | None:
        if bound.promql:
            return await prometheus.value(self._prometheus, bound.promql)
        if bound.probe == "unhealthy":
            return float(len(await self.unhealthy()))
        if bound.probe in ("pending", "outbox"):
            return self._waiting(bound.probe, now)
        if bound.probe == "silence_s":
            return now - max((call.ended_s for call in self._history.calls if is_placed(call)), default=0.0)
        return {
            "success": window.success,
            "confirmed": window.confirmed_share,
            "p99_s": window.p99_s,
            "rate_per_s": window.placed / WINDOW_S,
        }[bound.probe]

    def _waiting(self, probe: str, now: float) -> float | None:
        latest = self._sampler.samples[-1] if self._sampler.samples else None
        if latest is None or now - latest.at_s > FRESH_S:
            return None
        value = latest.pending if probe == "pending" else latest.outbox
        return None if value is None else float(value)
