"""The states of Prometheus' alerts, polled once a second."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

POLL_S, ASK_S = 1.0, 5.0
PENDING, FIRING = "pending", "firing"


@dataclass(frozen=True)
class Wanted:
    """An alert, and the labels that it must have among others."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def is_in(self, alert: Mapping[str, Any]) -> bool:
        """Return whether *alert*, in Prometheus' format, is one of these."""
        labels: Mapping[str, str] = alert["labels"]
        return labels["alertname"] == self.name and all(labels.get(key) == value for key, value in self.labels)


@dataclass
class Watch:
    """
    When each alert was first seen in a state, and whether it is in it now; times are of the monotonic clock.

    Nothing is known before Prometheus has answered (*looked*).
    """

    base: str
    first: dict[tuple[Wanted, str], float] = field(default_factory=dict)
    now: list[Mapping[str, Any]] = field(default_factory=list)
    looked: bool = False
    _over: dict[Wanted, float] = field(default_factory=dict)

    def begin(self, wanted: Iterable[Wanted]) -> None:
        """Forget earlier observations of these."""
        for each in wanted:
            self._over.pop(each, None)
            for state in (PENDING, FIRING):
                self.first.pop((each, state), None)

    def state(self, wanted: Wanted) -> str:
        """Return the alert's state, empty while it is silent."""
        states = {str(alert["state"]) for alert in self.now if wanted.is_in(alert)}
        return FIRING if FIRING in states else PENDING if states else ""

    def over(self, wanted: Wanted) -> float | None:
        """Return when the alert was last seen to have resolved."""
        return self._over.get(wanted)

    def take(self, alerts: list[Mapping[str, Any]], wanted: tuple[Wanted, ...], at: float) -> None:
        """Record Prometheus' response at a moment."""
        for each in wanted:
            before = self.state(each)
            now = next((str(alert["state"]) for alert in _firing_first(alerts) if each.is_in(alert)), "")
            if now:
                self.first.setdefault((each, now), at)
            if before and not now:
                self._over[each] = at
        self.now, self.looked = alerts, True

    @contextlib.asynccontextmanager
    async def looking(self, wanted: tuple[Wanted, ...]) -> AsyncIterator[None]:
        """Poll while the block runs; failed requests are skipped."""
        task = asyncio.create_task(self._look(wanted))
        try:
            yield
        finally:
            task.cancel()

    async def _look(self, wanted: tuple[Wanted, ...]) -> None:
        async with httpx.AsyncClient(base_url=self.base, timeout=ASK_S, trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
                    answer = (await client.get("/api/v1/alerts")).json()
                    self.take(answer["data"]["alerts"], wanted, time.monotonic())
                await asyncio.sleep(POLL_S)


def _firing_first(alerts: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(alerts, key=lambda alert: alert["state"] != FIRING)
