"""
Buyers: they place orders through the edge as clients do, and remember what they were told.

A buyer repeats a call whose outcome it does not know with the same request id,
as the contract allows, until it is told something final or gives up.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
import tenacity
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from stack.customer import Metadata

# What a client may repeat: the mesh or a replica was not there, slow, or full.
REPEAT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
}
CALL_LIMIT_S = 8
GIVE_UP_S = 150


@dataclass(frozen=True)
class Told:
    """What a buyer was told of one order."""

    request_id: str
    name: str
    state: int
    quantities: dict[str, int]


@dataclass
class Memory:
    """What all buyers were told, and what they saw that must never happen."""

    acknowledged: dict[str, Told] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    refused: int = 0
    given_up: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    calls: int = 0
    failed_calls: int = 0
    longest_silence_s: float = 0.0
    _last_at_s: float | None = None

    def acknowledge(self, told: Told, at_s: float) -> None:
        """
        Remember an order, acknowledged at *at_s* of a monotonic clock.
        """
        self.acknowledged[told.request_id] = told
        if self._last_at_s is not None:
            self.longest_silence_s = max(self.longest_silence_s, at_s - self._last_at_s)
        self._last_at_s = at_s

    @property
    def ended(self) -> int:
        """Orders whose buyer knows what became of them, or has given up."""
        return len(self.acknowledged) + self.refused + len(self.given_up)


class Buyers:
    """*workers* buyers at a time, over one channel to the edge at *address*."""

    def __init__(self, address: str, *, metadata: Metadata, products: Sequence[str], seed: int, workers: int) -> None:
        self._address = address
        self._metadata = metadata
        self._products = list(products)
        self._random = random.Random(seed)  # noqa: S311 - a repeatable load, not a secret
        self._workers = workers
        self.memory = Memory()

    async def buy(self, count: int) -> None:
        """
        Place *count* orders; some twice with the same id, some cancelled again.
        """
        left = iter(range(count))
        async with grpc.aio.insecure_channel(self._address) as channel:
            stub = order_service_pb2_grpc.OrderServiceStub(channel)
            await asyncio.gather(*(self._work(stub, left) for _ in range(self._workers)))

    async def _work(self, stub: order_service_pb2_grpc.OrderServiceStub, left: object) -> None:
        for _ in left:  # type: ignore[attr-defined]
            request = self._draw()
            told = await self._place(stub, request)
            if told is None:
                continue
            if self._random.random() < 0.05:
                await self._repeat(stub, request, told)
            if self._random.random() < 0.05:
                await self._cancel(stub, told)

    def _draw(self) -> order_service_pb2.CreateOrderRequest:
        products = self._random.sample(self._products, self._random.randint(1, 3))
        lines = [order_pb2.OrderLine(product=each, quantity=self._random.randint(1, 3)) for each in products]
        identity = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=lines), request_id=str(identity))

    async def _place(
        self,
        stub: order_service_pb2_grpc.OrderServiceStub,
        request: order_service_pb2.CreateOrderRequest,
    ) -> Told | None:
        try:
            order = await self._until_told(stub.CreateOrder, request)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                self.memory.refused += 1
            else:
                self.memory.given_up.append(f"{request.request_id}: {error.code().name}")
            return None
        told = Told(
            request.request_id,
            order.name,
            order.state,
            {line.product: line.quantity for line in order.lines},
        )
        self.memory.acknowledge(told, time.monotonic())
        return told

    async def _repeat(
        self,
        stub: order_service_pb2_grpc.OrderServiceStub,
        request: order_service_pb2.CreateOrderRequest,
        told: Told,
    ) -> None:
        try:
            again = await self._until_told(stub.CreateOrder, request)
        except grpc.aio.AioRpcError:
            return
        if again.name != told.name or again.state != told.state:
            self.memory.doubled.append(f"{told.name} was answered as {again.name} in {again.state}")

    async def _cancel(self, stub: order_service_pb2_grpc.OrderServiceStub, told: Told) -> None:
        request = order_service_pb2.CancelOrderRequest(name=told.name, request_id=f"cancel-{told.request_id}")
        try:
            await self._until_told(stub.CancelOrder, request)
        except grpc.aio.AioRpcError:
            return
        self.memory.cancelled.add(told.name)

    async def _until_told(self, method: object, request: object) -> order_pb2.Order:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_repeat),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=3),
            stop=tenacity.stop_after_delay(GIVE_UP_S),
            reraise=True,
        )
        return await retrying(self._call, method, request)

    async def _call(self, method: object, request: object) -> order_pb2.Order:
        self.memory.calls += 1
        try:
            order: order_pb2.Order = await method(  # type: ignore[operator]
                request, metadata=self._metadata, timeout=CALL_LIMIT_S
            )
        except grpc.aio.AioRpcError:
            self.memory.failed_calls += 1
            raise
        return order


def _may_repeat(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in REPEAT
