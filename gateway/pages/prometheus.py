"""Queries Prometheus through its HTTP API."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from runtime.errors import Unavailable

MARK = "board_query"


class PrometheusAway(Unavailable):
    """Prometheus does not answer, or not with the expected result."""

    reason = "PROMETHEUS_UNAVAILABLE"


@dataclass(frozen=True)
class Sample:
    """A series' labels and its value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Series:
    """A series' labels and its points, (seconds since 1970, value)."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """One Prometheus; *client* has its address and a timeout."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def now(self, query: str) -> list[Sample]:
        """
        Return the current samples of *query*; values that are not numbers are left out.
        """
        result = await self._get("/api/v1/query", {"query": query})
        samples = (Sample(each["metric"], float(each["value"][1])) for each in result)
        return [sample for sample in samples if math.isfinite(sample.value)]

    async def together(self, queries: Mapping[str, str]) -> dict[str, list[Sample]]:
        """
        Return the current samples of several queries by name, with one request.

        One request for each would be dozens at a time, which fail first on a busy machine.
        """
        marked = (f'label_replace({query}, "{MARK}", "{name}", "", "")' for name, query in queries.items())
        found: dict[str, list[Sample]] = {name: [] for name in queries}
        for sample in await self.now(" or ".join(marked)):
            labels = dict(sample.labels)
            if (name := labels.pop(MARK, "")) in found:
                found[name].append(Sample(labels, sample.value))
        return found

    async def between(self, query: str, start_s: float, end_s: float, step_s: float) -> list[Series]:
        """
        Return the series of *query* over a period.
        """
        bounds = {"start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": f"{step_s:g}"}
        result = await self._get("/api/v1/query_range", {"query": query, **bounds})
        return [
            Series(each["metric"], tuple((float(at), float(value)) for at, value in each["values"])) for each in result
        ]

    async def _get(self, path: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            answer = await self._client.get(path, params=parameters)
            answer.raise_for_status()
            result: list[dict[str, Any]] = answer.json()["data"]["result"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise PrometheusAway(f"Prometheus: {str(error) or type(error).__name__}", retry_after_s=1) from error
        return result
