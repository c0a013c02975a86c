"""Orders by gRPC, and what a client may do with a call that it does not know the outcome of."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import tenacity
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

Metadata = tuple[tuple[str, str], ...]
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


class Shop:
    """The orders as the customer whom *metadata* signs in; each call is tried once, for *timeout_s*."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata, *, timeout_s: float) -> None:
        self._stub = order_service_pb2_grpc.OrderServiceStub(channel)
        self._metadata = metadata
        self._timeout_s = timeout_s

    async def place(self, quantities: Mapping[str, int], *, key: str = "") -> order_pb2.Order:
        """
        Place an order of so many units of each product, with a key of its own unless one is given.
        """
        lines = [order_pb2.OrderLine(product=product, quantity=units) for product, units in quantities.items()]
        request = order_service_pb2.CreateOrderRequest(
            order=order_pb2.Order(lines=lines), request_id=key or str(uuid.uuid4())
        )
        return await self._stub.CreateOrder(request, metadata=self._metadata, timeout=self._timeout_s)

    async def cancel(self, name: str, *, key: str) -> order_pb2.Order:
        """
        Cancel the order of this name.
        """
        request = order_service_pb2.CancelOrderRequest(name=name, request_id=key)
        return await self._stub.CancelOrder(request, metadata=self._metadata, timeout=self._timeout_s)

    def watch(self, name: str) -> Any:
        """
        Return the stream of the order's changes, a gRPC call to be read and cancelled.
        """
        request = order_service_pb2.WatchOrderRequest(name=name)
        return self._stub.WatchOrder(request, metadata=self._metadata, timeout=self._timeout_s)


async def repeated(call: Callable[[], Awaitable[order_pb2.Order]], *, within_s: float) -> order_pb2.Order:
    """
    Return what *call*, which has a key, returns in the end; it is repeated while that may help, for *within_s*.
    """
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(_may_be_repeated),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=3),
        stop=tenacity.stop_after_delay(within_s),
        reraise=True,
    )
    return await retrying(call)


def _may_be_repeated(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in REPEAT
