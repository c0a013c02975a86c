"""
Buyers: clients that place orders through the edge, and record the responses.

A buyer retries a call whose outcome is unknown with the same request id, as the contract allows, until it gets a final
response or gives up.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import grpc
from shop.orders.v1 import order_pb2

from shop_client.calls import Metadata, Shop, may_be_repeated, repeated

CALL_LIMIT_S = 8
GIVE_UP_S = 150


@dataclass(frozen=True)
class AcknowledgedOrder:
    """What a buyer was told about one order."""

    request_id: str
    name: str
    state: int
    quantities: dict[str, int]


@dataclass
class Memory:
    """What all buyers were told, and the violations they observed."""

    acknowledged: dict[str, AcknowledgedOrder] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    refused: int = 0
    given_up: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    calls: int = 0
    failed_calls: int = 0
    longest_silence_s: float = 0.0
    _last_at_s: float | None = None

    def acknowledge(self, order: AcknowledgedOrder, at_s: float) -> None:
        """
        Record an order, acknowledged at *at_s* of a monotonic clock.
        """
        self.acknowledged[order.request_id] = order
        if self._last_at_s is not None:
            self.longest_silence_s = max(self.longest_silence_s, at_s - self._last_at_s)
        self._last_at_s = at_s

    @property
    def ended(self) -> int:
        """Orders whose buyer knows the outcome, or has given up."""
        return len(self.acknowledged) + self.refused + len(self.given_up)


class Buyers:
    """Concurrent buyers, one for each of *customers*, over one channel to the edge at *address*."""

    def __init__(self, address: str, *, customers: Sequence[Metadata], products: Sequence[str], seed: int) -> None:
        self._address = address
        self._customers = customers
        self._products = list(products)
        self._random = random.Random(seed)  # noqa: S311 - a repeatable load, not a secret
        self.memory = Memory()

    async def buy(self, count: int) -> None:
        """
        Place *count* orders; repeat some with the same id, cancel some.
        """
        left = iter(range(count))
        async with grpc.aio.insecure_channel(self._address) as channel:
            shops = [Shop(channel, each, timeout_s=CALL_LIMIT_S) for each in self._customers]
            await asyncio.gather(*(self._work(shop, left) for shop in shops))

    async def _work(self, shop: Shop, left: Iterator[int]) -> None:
        for _ in left:
            key, quantities = self._draw()
            acknowledged = await self._place(shop, key, quantities)
            if acknowledged is None:
                continue
            if self._random.random() < 0.05:
                await self._repeat(shop, quantities, acknowledged)
            if self._random.random() < 0.05:
                await self._cancel(shop, acknowledged)

    def _draw(self) -> tuple[str, dict[str, int]]:
        """
        Return a random request id and order.
        """
        products = self._random.sample(self._products, self._random.randint(1, 3))
        quantities = {each: self._random.randint(1, 3) for each in products}
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4)), quantities

    async def _place(self, shop: Shop, key: str, quantities: Mapping[str, int]) -> AcknowledgedOrder | None:
        try:
            order = await self._until_answered(lambda: shop.place(quantities, key=key))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                self.memory.refused += 1
            else:
                self.memory.given_up.append(f"{key}: {error.code().name}")
            return None
        acknowledged = AcknowledgedOrder(
            key, order.name, order.state, {line.product: line.quantity for line in order.lines}
        )
        self.memory.acknowledge(acknowledged, time.monotonic())
        return acknowledged

    async def _repeat(self, shop: Shop, quantities: Mapping[str, int], acknowledged: AcknowledgedOrder) -> None:
        try:
            again = await self._until_answered(lambda: shop.place(quantities, key=acknowledged.request_id))
        except grpc.aio.AioRpcError as error:
            self.memory.unanswered.append(f"{acknowledged.name}: replay failed with {error.code().name}")
            return
        if again.name != acknowledged.name or again.state != acknowledged.state:
            self.memory.doubled.append(f"{acknowledged.name}: replay returned {again.name} in {again.state}")

    async def _cancel(self, shop: Shop, acknowledged: AcknowledgedOrder) -> None:
        try:
            await self._until_answered(lambda: shop.cancel(acknowledged.name, key=f"cancel-{acknowledged.request_id}"))
        except grpc.aio.AioRpcError as error:
            if may_be_repeated(error):
                self.memory.unanswered.append(f"{acknowledged.name}: cancel failed with {error.code().name}")
            return
        self.memory.cancelled.add(acknowledged.name)

    async def _until_answered(self, call: Callable[[], Awaitable[order_pb2.Order]]) -> order_pb2.Order:
        async def counted() -> order_pb2.Order:
            self.memory.calls += 1
            try:
                return await call()
            except grpc.aio.AioRpcError:
                self.memory.failed_calls += 1
                raise

        return await repeated(counted, within_s=GIVE_UP_S)
