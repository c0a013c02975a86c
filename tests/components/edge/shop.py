"""
A fake shop with the contract's methods, behind the edge under test.

python -m tests.components.edge.shop orders|inventory ADDRESS

It uses the services' own interceptors, so validation and errors are the real ones.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog
from google.type.money_pb2 import Money
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import operations_service_pb2_grpc, order_pb2, order_service_pb2, order_service_pb2_grpc

from runtime import errors
from runtime.caller import Caller, caller
from runtime.interceptors import Interceptor, wrappers
from runtime.reply import set_http_code
from runtime.settings import ServiceSettings

PENDING = "products/nobody-knows"
ON_HAND = 100
LISTED = 600
TRICKY = 'a "quoted" \\ {brace} [bracket], "etag":"0" \\" \n'


class OutOfStock(errors.FailedPrecondition):
    reason = "OUT_OF_STOCK"


class OperatorOnly(errors.PermissionDenied):
    reason = "OPERATOR_ONLY"


def _caller(context: Any) -> Caller:
    """
    Return the caller, also without an identity: who may order is decided by policies that this rig does not have.
    """
    try:
        return caller(context)
    except errors.Unauthenticated:
        return Caller("")


class Orders(order_service_pb2_grpc.OrderServiceServicer):
    """Keeps orders in memory; a product's name decides the outcome of its order."""

    def __init__(self) -> None:
        self.orders: dict[str, order_pb2.Order] = {}
        self.cancelled: set[str] = set()

    async def CreateOrder(self, request: Any, context: Any) -> order_pb2.Order:
        name = f"orders/{uuid.uuid5(uuid.NAMESPACE_URL, request.request_id)}"
        if request.order.lines[0].product == "products/stopping" and name not in self.cancelled:
            self.cancelled.add(name)
            # What gRPC responds to a call that arrives while its server stops.
            await context.abort(grpc.StatusCode.CANCELLED, "CANCELLED")
        if name not in self.orders:
            self.orders[name] = await _placed(name, request.order)
            who = _caller(context)
            self.orders[name].customer = who.name
            self.orders[name].state_reason = "OPERATOR" if who.operator else ""
        order = self.orders[name]
        code = 202 if order.state == order_pb2.Order.PENDING else 201
        set_http_code(context, code, [("location", f"/v1/{name}")])
        return order

    async def GetOrder(self, request: Any, context: Any) -> order_pb2.Order:
        return self._find(request.name)

    async def ListOrders(self, request: Any, context: Any) -> order_service_pb2.ListOrdersResponse:
        size = min(request.page_size or 50, 500)
        first = _first(request.page_token)
        found = [order for order in self.orders.values() if request.state in (0, order.state)]
        token = str(first + size) if len(found) > first + size else ""
        return order_service_pb2.ListOrdersResponse(orders=found[first : first + size], next_page_token=token)

    async def CancelOrder(self, request: Any, context: Any) -> order_pb2.Order:
        order = self._find(request.name)
        if request.etag and request.etag.removeprefix("W/") != order.etag:
            raise errors.Aborted("the order is another by now", reason="ORDER_CHANGED")
        if order.state == order_pb2.Order.CANCELLED:
            raise errors.FailedPrecondition("the order is final", reason="ILLEGAL_TRANSITION")
        order.state = order_pb2.Order.CANCELLED
        order.version += 1
        order.etag = f'"{order.version}"'
        return order

    async def BatchCreateOrders(self, request: Any, context: Any) -> order_service_pb2.BatchCreateOrdersResponse:
        return order_service_pb2.BatchCreateOrdersResponse()

    async def WatchOrder(self, request: Any, context: Any) -> AsyncIterator[order_service_pb2.WatchOrderResponse]:
        order = self._find(request.name)
        event = order_service_pb2.WatchOrderResponse
        if request.from_version <= order.version:
            yield event(order=order)
        yield event(heartbeat=event.Heartbeat())
        yield event(end=event.End())

    def _find(self, name: str) -> order_pb2.Order:
        if name not in self.orders:
            raise errors.NotFound(f"{name} does not exist", reason="ORDER_NOT_FOUND", metadata={"name": name})
        return self.orders[name]


async def _placed(name: str, wanted: order_pb2.Order) -> order_pb2.Order:
    for index, line in enumerate(wanted.lines):
        await _meet(line.product, f"order.lines[{index}].product")
    order = order_pb2.Order(name=name, lines=wanted.lines, version=1, etag='"1"')
    pending = any(line.product == PENDING for line in wanted.lines)
    order.state = order_pb2.Order.PENDING if pending else order_pb2.Order.CONFIRMED
    order.create_time.FromSeconds(1_800_000_000)
    return order


async def _meet(product: str, field: str) -> None:
    """
    Raise, wait or return, depending on the product's name.
    """
    match product:
        case "products/unknown":
            raise errors.InvalidArgument(
                "no such product",
                reason="UNKNOWN_PRODUCT",
                fields=[errors.FieldViolation(field, "is not sold here")],
            )
        case "products/gone":
            raise OutOfStock("out of stock", violations=[errors.Violation("STOCK", product, "0 of 1 available")])
        case "products/busy":
            raise errors.Unavailable("not now", retry_after_s=2.4)
        case "products/late":
            raise errors.DeadlineExceeded("no time is left")
        case "products/broken":
            raise RuntimeError("password of the database is hunter2")
        case "products/asleep":
            await asyncio.sleep(30)


class Operations(operations_service_pb2_grpc.OperationsServiceServicer):
    """For operators; nobody is one here."""

    async def GetBacklog(self, request: Any, context: Any) -> Any:
        raise OperatorOnly("this is for operators")

    async def GetOrderTimeline(self, request: Any, context: Any) -> Any:
        raise OperatorOnly("this is for operators")

    async def RedriveDeadLetters(self, request: Any, context: Any) -> Any:
        raise OperatorOnly("this is for operators")

    async def ReconcileOrders(self, request: Any, context: Any) -> Any:
        raise OperatorOnly("this is for operators")

    async def ExportCustomer(self, request: Any, context: Any) -> Any:
        raise OperatorOnly("this is for operators")

    async def EraseCustomer(self, request: Any, context: Any) -> Any:
        raise OperatorOnly("this is for operators")


class Inventory(inventory_service_pb2_grpc.InventoryServiceServicer):
    """More products of one kind than a page may have."""

    async def GetProduct(self, request: Any, context: Any) -> inventory_pb2.Product:
        if request.name == "products/tea-mesh":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "upstream connect error, 127.0.0.1 refused")
        if request.name == "products/tea-denied":
            # As a sidecar says that its policies deny the edge (istio/breakers.yaml).
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "RBAC: access denied", (("x-mesh-denied", "true"),))
        if not request.name.startswith("products/tea-"):
            raise errors.NotFound(f"{request.name} does not exist", reason="PRODUCT_NOT_FOUND")
        return _product(request.name)

    async def ListProducts(self, request: Any, context: Any) -> inventory_service_pb2.ListProductsResponse:
        first = _first(request.page_token)
        after = min(first + (request.page_size or 10), LISTED)
        products = [_product(f"products/tea-{number}") for number in range(first, after)]
        token = str(after) if after < LISTED else ""
        return inventory_service_pb2.ListProductsResponse(products=products, next_page_token=token)

    async def Restock(self, request: Any, context: Any) -> inventory_pb2.Product:
        return _product(request.name)


def _first(token: str) -> int:
    """
    Return the position where the page with this token begins.
    """
    if token and not (token.isascii() and token.isdigit()):
        raise errors.InvalidArgument("no such page", fields=[errors.FieldViolation("page_token", "is not one of ours")])
    return int(token or 0)


def _product(name: str) -> inventory_pb2.Product:
    stock = inventory_pb2.Stock(on_hand=ON_HAND, available=ON_HAND)
    price = Money(currency_code="EUR", units=3, nanos=500_000_000)
    text = TRICKY if name == "products/tea-quotes" else "Té «Ñandú» 茶"
    return inventory_pb2.Product(name=name, display_name=text, unit_price=price, stock=stock, etag='"7-100"')


def server(servicer: Orders | Inventory, address: str) -> grpc.aio.Server:
    """
    Return a server of *servicer* at *address*, not yet started.
    """
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    settings = ServiceSettings(kafka_brokers="127.0.0.1:1")
    domain = "orders.shop.example.com" if isinstance(servicer, Orders) else "inventory.shop.example.com"
    made = grpc.aio.server(interceptors=[Interceptor(wrappers(settings, domain))])
    if isinstance(servicer, Orders):
        order_service_pb2_grpc.add_OrderServiceServicer_to_server(servicer, made)
        operations_service_pb2_grpc.add_OperationsServiceServicer_to_server(Operations(), made)
    else:
        inventory_service_pb2_grpc.add_InventoryServiceServicer_to_server(servicer, made)
    made.add_insecure_port(address)
    return made


async def main(service: str, address: str) -> None:
    """
    Serve one service until killed.
    """
    made = server(Orders() if service == "orders" else Inventory(), address)
    await made.start()
    await made.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
