"""Queries the stack's Prometheus."""

from __future__ import annotations

import math

import httpx

ASK_S = 3.0


async def value(base: str, expression: str) -> float | None:
    """Return the first value of a PromQL expression; None without a value or an answer."""
    async with httpx.AsyncClient(timeout=ASK_S, trust_env=False) as client:
        try:
            answer = await client.get(f"{base}/api/v1/query", params={"query": expression})
            found = float(answer.json()["data"]["result"][0]["value"][1])
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
            return None
    return found if math.isfinite(found) else None
