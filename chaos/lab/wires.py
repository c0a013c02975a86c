"""How the clients of an experiment call the shop: by JSON API or gRPC, with the same results for a history."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import httpx
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from chaos.lab.history import Outcome
from shop_client import repeats, rest
from shop_client.calls import Metadata, Shop, reason_of

PAGE_SIZE, MAX_PAGES = 200, 50
CALL_S = 12.0
# A watcher stops after this time if the order has not become final.
WATCH_S = 3.0
# Refusals that guarantee that the call had no effect, and may be retried unchanged.
BUSY = frozenset({409, 429})
# The HTTP status of each code that a client may retry, so that responses of both protocols are counted alike.
STATUS = {
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INTERNAL: 500,
}


@dataclass(frozen=True)
class Answer:
    """What is known of a call after it ended, and its response."""

    outcome: Outcome
    response: Mapping[str, Any]

    @property
    def again(self) -> bool:
        """Return whether the same call may be retried."""
        return self.outcome is Outcome.UNKNOWN or bool(self.response.get("again"))


class Wire(Protocol):
    """One customer's client of the shop; no call raises for errors of the shop or the network."""

    async def place(self, lines: Mapping[str, int], key: str) -> Answer:
        """Place an order."""

    async def read(self, name: str) -> Answer:
        """Read an order."""

    async def cancel(self, name: str, key: str) -> Answer:
        """Cancel an order."""

    async def orders(self) -> Answer:
        """List every page of the customer's orders."""


class Rest:
    """The JSON API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def place(self, lines: Mapping[str, int], key: str) -> Answer:
        """Place an order."""
        basket = {"lines": [{"product": product, "quantity": units} for product, units in lines.items()]}
        return await self._order(lambda: rest.place(self._client, basket, key))

    async def read(self, name: str) -> Answer:
        """Read an order."""
        return await self._order(lambda: self._client.get(f"/v1/{name}"))

    async def cancel(self, name: str, key: str) -> Answer:
        """Cancel an order."""
        return await self._order(lambda: rest.cancel(self._client, name, key))

    async def orders(self) -> Answer:
        """List every page."""
        found: list[str] = []
        token = ""
        for _ in range(MAX_PAGES):
            query: dict[str, str | int] = {"pageSize": PAGE_SIZE, **({"pageToken": token} if token else {})}
            answer = await self._call(functools.partial(self._client.get, rest.ORDERS, params=query))
            if isinstance(answer, Answer):
                return answer
            page = answer.json()
            found += [each["name"] for each in page.get("orders", ())]
            token = page.get("nextPageToken", "")
            if not token:
                return Answer(Outcome.OK, {"status": 200, "orders": found})
        return Answer(Outcome.UNKNOWN, {"reason": f"more than {MAX_PAGES} pages"})

    async def _order(self, call: Callable[[], Awaitable[httpx.Response]]) -> Answer:
        answer = await self._call(call)
        if isinstance(answer, Answer):
            return answer
        order = answer.json()
        seen = {"order": order["name"], "state": order["state"], "version": int(order["version"])}
        return Answer(Outcome.OK, {"status": answer.status_code, **seen})

    async def _call(self, call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response | Answer:
        """Return the response of a completed call, or what is known of one that failed."""
        try:
            answer = await call()
            if answer.is_success:
                answer.json()
                return answer
        except httpx.ConnectError as error:
            return Answer(Outcome.FAILED, {"reason": type(error).__name__, "again": True})
        except (httpx.HTTPError, ValueError) as error:
            return Answer(Outcome.UNKNOWN, {"reason": type(error).__name__})
        return refused(answer.status_code, _reason(answer))


class Grpc:
    """The same by gRPC."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self._shop = Shop(channel, metadata, timeout_s=CALL_S)
        self._watching = Shop(channel, metadata, timeout_s=WATCH_S)
        self._stub = order_service_pb2_grpc.OrderServiceStub(channel)
        self._metadata = metadata

    async def place(self, lines: Mapping[str, int], key: str) -> Answer:
        """Place an order."""
        answer = await self._order(lambda: self._shop.place(lines, key=key))
        status = 202 if answer.response.get("state") == "PENDING" else answer.response["status"]
        return Answer(answer.outcome, {**answer.response, "status": 201 if status == 200 else status})

    async def read(self, name: str) -> Answer:
        """Read an order."""
        request = order_service_pb2.GetOrderRequest(name=name)
        return await self._order(lambda: self._stub.GetOrder(request, metadata=self._metadata, timeout=CALL_S))

    async def cancel(self, name: str, key: str) -> Answer:
        """Cancel an order."""
        return await self._order(lambda: self._shop.cancel(name, key=key))

    async def orders(self) -> Answer:
        """List every page."""
        found: list[str] = []
        request = order_service_pb2.ListOrdersRequest(page_size=PAGE_SIZE)
        for _ in range(MAX_PAGES):
            try:
                page = await self._stub.ListOrders(request, metadata=self._metadata, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                return _failed(error)
            found += [each.name for each in page.orders]
            request.page_token = page.next_page_token
            if not request.page_token:
                return Answer(Outcome.OK, {"status": 200, "orders": found})
        return Answer(Outcome.UNKNOWN, {"reason": f"more than {MAX_PAGES} pages"})

    async def watch(self, name: str) -> Answer:
        """Watch an order until it is final, or until the call times out."""
        seen: list[tuple[int, str]] = []
        status = 200
        try:
            async for event in self._watching.watch(name):
                seen += [(event.order.version, _state(event.order))] if event.HasField("order") else []
        except grpc.aio.AioRpcError as error:
            status = STATUS.get(error.code(), 400)
        return Answer(Outcome.OK, {"status": status, "seen": seen})

    async def _order(self, call: Callable[[], Awaitable[order_pb2.Order]]) -> Answer:
        try:
            order = await call()
        except grpc.aio.AioRpcError as error:
            return _failed(error)
        seen = {"order": order.name, "state": _state(order), "version": order.version}
        return Answer(Outcome.OK, {"status": 200, **seen})


def refused(status: int, reason: str) -> Answer:
    """Return what is known of a call that ended with an error."""
    if status in BUSY:
        again = {"again": True} if repeats.after_status(status, reason) else {}
        return Answer(Outcome.FAILED, {"status": status, "reason": reason, **again})
    if status == 408 or status >= 499:
        return Answer(Outcome.UNKNOWN, {"status": status, "reason": reason})
    return Answer(Outcome.FAILED, {"status": status, "reason": reason})


def _failed(error: grpc.aio.AioRpcError) -> Answer:
    return refused(STATUS.get(error.code(), 400), reason_of(error) or error.code().name)


def _state(order: order_pb2.Order) -> str:
    return order_pb2.Order.State.Name(order.state)


def _reason(answer: httpx.Response) -> str:
    try:
        return repeats.reason_of(answer.json())
    except ValueError:
        return ""
