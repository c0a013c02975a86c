"""
A regular customer, who keeps shopping during an attack: reads a product, orders it, and sometimes watches the order.

There are no retries, so that every single failed call counts. The bystander runs in a process of its own, so that the
load of the attacker does not distort its latencies.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import grpc
import httpx
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import order_pb2

from shop_client import rest
from shop_client.calls import Shop
from stack.customer import Metadata

PURCHASES_PER_S = 5
CALL_LIMIT_S = 5.0
WATCHED = 5
OK = "ok"
PENDING = "pending"


@dataclass(frozen=True)
class Seen:
    """One call of the bystander: its start, result and duration in seconds."""

    began: float
    what: str
    outcome: str
    seconds: float

    @property
    def good(self) -> bool:
        """Return whether the call succeeded; an order that is accepted as PENDING counts as success."""
        return self.outcome in (OK, PENDING)


class Bystander:
    """The calls of a customer of the edge at *address*, made by a process of its own."""

    def __init__(self, address: str, metadata: Metadata, product: str) -> None:
        self._arguments = json.dumps({"address": address, "metadata": metadata, "product": product})
        self._began: dict[int, float] = {}
        self._changed = asyncio.Condition()
        self.seen: list[Seen] = []

    @contextlib.asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        """
        Make five purchases a second while the block runs, independent of the responses; raises if the process exits.
        """
        pipe = asyncio.subprocess.PIPE
        shopper = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=pipe, stdout=pipe)
        if shopper.stdin is None or shopper.stdout is None:
            raise RuntimeError("the bystander process has no pipes")
        shopper.stdin.write(f"{self._arguments}\n".encode())
        reading = asyncio.create_task(self._read(shopper.stdout))
        try:
            yield
            if reading.done():
                raise RuntimeError("the bystander process exited")
        finally:
            reading.cancel()
            with contextlib.suppress(ProcessLookupError):
                shopper.kill()
            await shopper.wait()

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            number, *rest = json.loads(line)
            async with self._changed:
                if len(rest) == 1:
                    self._began[number] = rest[0]
                else:
                    del self._began[number]
                    self.seen.append(Seen(*rest))
                self._changed.notify_all()

    async def ended(self, before: float) -> None:
        """
        Wait until each call that began before *before* has ended; the duration of calls is bounded.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: all(began >= before for began in self._began.values()))


class Shopper:
    """Makes purchases at the edge at *address*, over REST (a new connection each time) and gRPC (one connection)."""

    def __init__(self, address: str, metadata: Metadata, product: str) -> None:
        # JSON has turned the pairs into lists, which gRPC does not accept.
        self._metadata = tuple((name, value) for name, value in metadata)
        self._address, self._product, self._headers = address, product, dict(self._metadata)
        self._numbers = itertools.count()

    async def shop(self) -> None:
        """
        Make purchases until the process is terminated; print the start and the end of every call.
        """
        async with grpc.aio.insecure_channel(self._address) as channel:
            await self._shop(channel)

    async def _shop(self, channel: grpc.aio.Channel) -> None:
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                await asyncio.sleep(max(0.0, started + number / PURCHASES_PER_S - time.monotonic()))
                group.create_task(self._buy_by_grpc(channel, number) if number % 2 else self._buy_by_rest())

    async def _buy_by_rest(self) -> None:
        async with httpx.AsyncClient(
            base_url=f"http://{self._address}", headers=self._headers, timeout=CALL_LIMIT_S, trust_env=False
        ) as client:

            async def order() -> str:
                answer = await rest.place(client, rest.basket(self._product))
                return {201: OK, 202: PENDING}.get(answer.status_code, f"http {answer.status_code}")

            async def look() -> str:
                status = (await client.get(f"/v1/{self._product}")).status_code
                return OK if status == 200 else f"http {status}"

            await self._timed("REST product", look)
            await self._timed("REST order", order)

    async def _buy_by_grpc(self, channel: grpc.aio.Channel, number: int) -> None:
        shop = Shop(channel, self._metadata, timeout_s=CALL_LIMIT_S)
        inventory = inventory_service_pb2_grpc.InventoryServiceStub(channel)
        bought: list[order_pb2.Order] = []

        async def look() -> str:
            # With the token: the rate limit for anonymous calls is shared by address, and the attackers use it up.
            request = inventory_service_pb2.GetProductRequest(name=self._product)
            await inventory.GetProduct(request, metadata=self._metadata, timeout=CALL_LIMIT_S)
            return OK

        async def order() -> str:
            bought.append(await shop.place({self._product: 1}))
            return PENDING if bought[0].state == order_pb2.Order.PENDING else OK

        async def watch() -> str:
            watched = shop.watch(bought[0].name)
            try:
                async for event in watched:
                    return OK if event.HasField("order") else "no order in the first event"
            finally:
                watched.cancel()
            return "no event"

        await self._timed("gRPC product", look)
        await self._timed("gRPC order", order)
        if bought and number % WATCHED == 0:
            await self._timed("gRPC watch", watch)

    async def _timed(self, what: str, act: Callable[[], Awaitable[str]]) -> None:
        number, began = next(self._numbers), time.monotonic()
        _report(number, began)
        try:
            outcome = await act()
        except grpc.aio.AioRpcError as error:
            outcome = f"{error.code().name}: {error.details()}"[:80]
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        _report(number, began, what, outcome, time.monotonic() - began)


def _report(*what: object) -> None:
    print(json.dumps(what), flush=True)


@dataclass(frozen=True)
class Service:
    """How the bystander was served during a period."""

    calls: int
    good: int
    pending: int
    p99_s: float
    failures: Counter[str]

    @property
    def percent(self) -> float:
        """Return the percentage of calls that succeeded."""
        return 100 * self.good / self.calls if self.calls else 0.0


def service(seen: list[Seen]) -> Service:
    """
    Summarise some calls.
    """
    took = sorted(each.seconds for each in seen)
    return Service(
        calls=len(seen),
        good=sum(each.good for each in seen),
        pending=sum(each.outcome == PENDING for each in seen),
        p99_s=took[min(len(took) - 1, int(len(took) * 0.99))] if took else 0.0,
        failures=Counter(f"{each.what}: {each.outcome}" for each in seen if not each.good),
    )


if __name__ == "__main__":
    asyncio.run(Shopper(**json.loads(sys.stdin.readline())).shop())
