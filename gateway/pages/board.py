"""Collects the data of the operations board from Prometheus and the services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from shop.inventory.v1 import inventory_pb2

from gateway.pages import queries, shape
from gateway.pages.prometheus import Prometheus
from gateway.pages.stores import Stores
from runtime.errors import Error

KEPT_S = 1.0
# The edge's timeout for the whole board is 5 s; a slow part must not delay the rest.
PART_S = 3.0
HOUR_S = 3600.0
OUTAGE_STEP_S = 5.0
Json = dict[str, Any]


class Products(Protocol):
    """The source of the stock."""

    async def products(self) -> Sequence[inventory_pb2.Product]:
        """Return the products with their stock."""


class Faults(Protocol):
    """The source of the faults in force."""

    async def active(self) -> list[Json]:
        """Return the faults of every VirtualService that has one."""


class Board:
    """
    Collects the board's data, at most once a second for all viewers together.

    A part that is unavailable is null, with the reason in `problems`: nothing is made up.
    """

    def __init__(
        self,
        prometheus: Prometheus,
        stock: Products,
        faults: Faults,
        stores: Stores,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._prometheus = prometheus
        self._stock = stock
        self._faults = faults
        self._stores = stores
        self._clock = clock
        self._lock = asyncio.Lock()
        self._running: dict[str, asyncio.Future[Any]] = {}
        self._kept: Json = {}
        self._kept_until_s = 0.0

    async def read(self) -> Json:
        """
        Return the board's data, at most a second old.
        """
        async with self._lock:
            if self._clock() >= self._kept_until_s:
                self._kept = await self._gather()
                self._kept_until_s = self._clock() + KEPT_S
            return self._kept

    async def _gather(self) -> Json:
        parts: Mapping[str, Callable[[], Awaitable[Any]]] = {
            "alerts": self._alerts,
            "calls": self._calls,
            "breakers": self._breakers,
            "pods": self._pods,
            "stores": self._stores.read,
            "numbers": self._numbers,
            "groups": self._groups,
            "stock": self._products,
            "faults": self._faults.active,
        }
        answers = await asyncio.gather(*(self._part(name, read) for name, read in parts.items()))
        problems = {name: problem for name, (_, problem) in zip(parts, answers, strict=True) if problem}
        values = {name: value for name, (value, _) in zip(parts, answers, strict=True)}
        return {"at": self._clock(), **values, "problems": problems}

    async def _part(self, name: str, read: Callable[[], Awaitable[Any]]) -> tuple[Any, str | None]:
        # Not cancelled on a timeout: a cancelled request would occupy a connection of the client forever. It ends by
        # its own limits, and until then the next read waits for the same one.
        task = self._running.get(name) or asyncio.ensure_future(read())
        self._running[name] = task
        await asyncio.wait({task}, timeout=PART_S)
        if not task.done():
            return None, f"no response within {PART_S:g} s"
        del self._running[name]
        try:
            return task.result(), None
        except Error as error:
            return None, str(error)

    async def _alerts(self) -> list[Json]:
        return shape.alerts(await self._prometheus.now(queries.ALERTS))

    async def _calls(self) -> list[Json]:
        return shape.calls(await self._prometheus.together(queries.CALLS))

    async def _breakers(self) -> list[Json]:
        return shape.breakers(await self._prometheus.together(queries.BREAKERS))

    async def _pods(self) -> list[Json]:
        now = self._clock()
        history = await self._prometheus.between(queries.AVAILABILITY, now - HOUR_S, now, OUTAGE_STEP_S)
        return shape.pods(await self._prometheus.together(queries.PODS), shape.outages(history))

    async def _numbers(self) -> dict[str, float | None]:
        answers = await self._prometheus.together(queries.NUMBERS)
        return {name: samples[0].value if samples else None for name, samples in answers.items()}

    async def _groups(self) -> dict[str, dict[str, float]]:
        answers = await self._prometheus.together({name: query for name, (_, query) in queries.GROUPS.items()})
        return {name: shape.groups(answers[name], label) for name, (label, _) in queries.GROUPS.items()}

    async def _products(self) -> list[Json]:
        return [
            shape.product(
                each.name,
                each.display_name,
                {
                    "on_hand": each.stock.on_hand,
                    "available": each.stock.available,
                    "held": each.stock.held,
                    "sold": each.stock.sold,
                },
            )
            for each in await self._stock.products()
        ]
