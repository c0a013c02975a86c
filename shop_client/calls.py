"""Orders by gRPC, and what a client may do with a call that it does not know the outcome of."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import tenacity
from google.rpc import error_details_pb2, status_pb2
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from shop_client import repeats

Metadata = tuple[tuple[str, str], ...]
DETAILS_KEY = "grpc-status-details-bin"


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
        retry=tenacity.retry_if_exception(may_be_repeated),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=3),
        stop=tenacity.stop_after_delay(within_s),
        reraise=True,
    )
    return await retrying(call)


def may_be_repeated(error: BaseException) -> bool:
    """
    Return whether the same call, with the same key, may be repeated after *error*.
    """
    return isinstance(error, grpc.aio.AioRpcError) and repeats.after_code(error.code().name, reason_of(error))


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """
    Return why a call failed, for programs (`google.rpc.ErrorInfo.reason`); empty if that was not told.
    """
    status, info = status_pb2.Status(), error_details_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            status.ParseFromString(value)
    return info.reason if any(detail.Unpack(info) for detail in status.details) else ""
