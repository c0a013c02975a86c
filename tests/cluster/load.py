"""Customers who place orders continuously, and the responses they got."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

import httpx

from shop_client import rest

CALL_S = 12
MAX_IN_FLIGHT = 128
# A sold-out response is a success.
ANSWERED = (*rest.TAKEN, 400)


@dataclass
class Attempt:
    """One order as its customer saw it; times of `time.monotonic()`, status 0 without a response."""

    started: float
    ended: float
    status: int
    name: str = ""
    state: str = ""
    answer: str = ""

    @property
    def acknowledged(self) -> bool:
        return self.status in rest.TAKEN


@dataclass
class Outcome:
    """The effect of one experiment on the orders."""

    what: str
    fault: float
    attempts: Sequence[Attempt]
    lost: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> list[Attempt]:
        return [each for each in self.attempts if each.acknowledged]

    @property
    def failed(self) -> list[Attempt]:
        return [each for each in self.attempts if each.status not in ANSWERED]

    @property
    def recovery_s(self) -> float:
        """
        Return the seconds from the fault to the last order that failed because of it, or the longest gap after it.
        """
        failed = [each.ended - self.fault for each in self.failed if each.ended > self.fault]
        return max([self.longest_gap_s, *failed])

    @property
    def longest_gap_s(self) -> float:
        """Return the longest time after the fault without an acknowledged order."""
        ends = sorted(each.ended for each in self.acknowledged if each.ended >= self.fault)
        moments = [self.fault, *ends]
        return max((after - before for before, after in itertools.pairwise(moments)), default=float("inf"))


@dataclass(frozen=True)
class Shop:
    """The edge, and a customer's token for it."""

    edge: str
    token: str

    def client(self) -> httpx.AsyncClient:
        """Return the customer's client; with as many connections as concurrent calls."""
        limits = httpx.Limits(max_connections=MAX_IN_FLIGHT, max_keepalive_connections=MAX_IN_FLIGHT)
        signed = rest.signed(self.token)
        return httpx.AsyncClient(base_url=self.edge, timeout=CALL_S, limits=limits, headers=signed)


class Load:
    """Place *rate* orders a second for one unit of *products* in turn, until the block ends."""

    def __init__(self, shop: Shop, products: Sequence[str], *, rate: float) -> None:
        self._shop, self._products, self._rate = shop, products, rate
        self._running: set[asyncio.Task[None]] = set()
        self.attempts: list[Attempt] = []

    async def __aenter__(self) -> Load:
        self._client = self._shop.client()
        self._driver = asyncio.create_task(self._drive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.cancel()
        await asyncio.gather(self._driver, return_exceptions=True)
        await asyncio.gather(*self._running)
        await self._client.aclose()

    async def flowing(self, *, count: int = 20, within_s: float) -> None:
        """Wait until *count* orders in a row, all begun from now on, were acknowledged."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            recent = [each for each in self.attempts if each.started > began and each.status != 400]
            if len(recent) >= count and all(each.acknowledged for each in recent[-count:]):
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"orders did not flow within {within_s} s; the last: {self.attempts[-5:]}")

    async def _drive(self) -> None:
        next_at, number = time.monotonic(), 0
        while True:
            if len(self._running) < MAX_IN_FLIGHT:
                task = asyncio.create_task(self._order(self._products[number % len(self._products)]))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            number += 1
            next_at += 1 / self._rate
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def _order(self, product: str) -> None:
        started = time.monotonic()
        try:
            answer = await rest.place(self._client, rest.basket(product))
        except httpx.HTTPError as error:
            self.attempts.append(Attempt(started, time.monotonic(), 0, answer=repr(error)))
            return
        attempt = Attempt(started, time.monotonic(), answer.status_code)
        if attempt.acknowledged:
            attempt.name, attempt.state = answer.json()["name"], answer.json()["state"]
        else:
            attempt.answer = answer.text[:300]
        self.attempts.append(attempt)


async def lost(shop: Shop, acknowledged: Sequence[Attempt]) -> list[str]:
    """Return the acknowledged orders that the system no longer has."""
    missing: list[str] = []
    slots = asyncio.Semaphore(8)

    async def look(client: httpx.AsyncClient, name: str) -> None:
        async with slots:
            problem = ""
            for _ in range(5):
                try:
                    status = (await client.get(f"/v1/{name}")).status_code
                except httpx.HTTPError as error:
                    # The edge may be down for a moment; only orders that are never found count.
                    problem = repr(error)
                else:
                    problem = str(status)
                    if status == 200:
                        return
                    if status == 404:
                        break
                await asyncio.sleep(1)
            missing.append(f"{name}: {problem}")

    async with shop.client() as client:
        await asyncio.gather(*(look(client, each.name) for each in acknowledged))
    return missing


async def stocked(shop: Shop) -> list[str]:
    """Return the available products, those with the most stock first."""
    async with shop.client() as client:
        return rest.in_stock((await client.get("/v1/products")).json(), at_least=21)
