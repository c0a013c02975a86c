"""Native gRPC clients on the same port are not affected by what is done for JSON clients."""

from __future__ import annotations

import re
import uuid
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from tests.components.edge import rig
from tests.components.edge.conftest import Buyer

ORDER = "orders/9f4e4d67-0000-5000-8000-000000000000"


def order_request(product: str, quantity: int = 1, key: str | None = None) -> order_service_pb2.CreateOrderRequest:
    """
    Return a request with a new key.
    """
    line = order_pb2.OrderLine(product=product, quantity=quantity)
    return order_service_pb2.CreateOrderRequest(
        order=order_pb2.Order(lines=[line]), request_id=key or str(uuid.uuid4())
    )


@pytest.fixture
def orders(channel: grpc.Channel) -> order_service_pb2_grpc.OrderServiceStub:
    """
    Return the stub of orders.
    """
    return order_service_pb2_grpc.OrderServiceStub(channel)


@pytest.mark.parametrize("product", ["products/tea-1", "products/nobody-knows"], ids=["confirmed", "pending"])
def test_grpc_order_succeeds(own_shop: str, orders: Any, product: str) -> None:
    answer, call = orders.CreateOrder.with_call(order_request(product))
    assert answer.name
    assert call.code() == grpc.StatusCode.OK
    assert not {"x-http-code", "server"} & {key for key, _ in (*call.initial_metadata(), *call.trailing_metadata())}


def test_same_key_is_the_same_order_over_grpc_and_rest(orders: Any, buyer: Buyer, product: str) -> None:
    key = str(uuid.uuid4())
    assert orders.CreateOrder(order_request(product, key=key)).name == buyer.buy(key=key).json()["name"]


def test_error_keeps_its_details(orders: Any, product: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        orders.CreateOrder(order_request(product, quantity=0))
    status = rpc_status.from_call(caught.value)
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    assert [each.field for each in bad.field_violations] == ["order.lines[0].quantity"]


def test_mesh_failure_has_our_error_format_and_reveals_nothing(own_shop: str, orders: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        orders.FulfilOrder(order_service_pb2.FulfilOrderRequest(name=ORDER))
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    status = rpc_status.from_call(caught.value)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("UNAVAILABLE", "edge.shop.example.com")
    assert "upstream" not in f"{caught.value.details()} {status}"


GET = "/shop.orders.v1.OrderService/GetOrder"
# Calls that the edge itself refuses, with code, reason and field.
REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a condition": ({"metadata": [("if-match", "x")]}, "INVALID_ARGUMENT", "INVALID_REQUEST", "If-Match"),
    "two keys": (
        {"metadata": [("idempotency-key", "a"), ("idempotency-key", "a")]},
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        "Idempotency-Key",
    ),
    "two tokens": (
        {"metadata": [("authorization", "Bearer a"), ("authorization", "Bearer a")]},
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        "Authorization",
    ),
    "a method in a header": (
        {"metadata": [("x-http-method-override", "DELETE")]},
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        "X-HTTP-Method-Override",
    ),
    "compressed": ({"compression": grpc.Compression.Gzip}, "UNIMPLEMENTED", "UNIMPLEMENTED", ""),
    "too large": ({"request": b"x" * 100_000}, "INVALID_ARGUMENT", "BODY_TOO_LARGE", ""),
    "no such method": ({"method": GET + "s"}, "UNIMPLEMENTED", "UNIMPLEMENTED", ""),
    "an internal method": (
        {"method": "/shop.inventory.v1.InventoryService/HoldStock"},
        "UNIMPLEMENTED",
        "UNIMPLEMENTED",
        "",
    ),
    "a bad token": ({"metadata": [("authorization", "Bearer x")]}, "UNAUTHENTICATED", "INVALID_TOKEN", ""),
    "a token with an extension": (
        {"metadata": [("authorization", "Bearer eyJjcml0IjpbIngiXX0.e30.x")]},
        "UNAUTHENTICATED",
        "INVALID_TOKEN",
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_edge_errors_have_matching_details(channel: grpc.Channel, case: str) -> None:
    """Client libraries accept details only if their message is the call's."""
    given, code, reason, field = REFUSED[case]
    call = channel.unary_unary(given.get("method", GET))
    options = {name: given[name] for name in ("metadata", "compression") if name in given}
    with pytest.raises(grpc.RpcError) as caught:
        call(given.get("request", order_service_pb2.GetOrderRequest(name=ORDER).SerializeToString()), **options)
    status = rpc_status.from_call(caught.value)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert (caught.value.code().name, info.reason) == (code, reason)
    assert [each.Unpack(bad) for each in status.details[1:]] == ([True] if field else [])
    assert [each.field for each in bad.field_violations] == ([field] if field else [])


def test_stream_arrives_complete(own_shop: str, orders: Any) -> None:
    name = orders.CreateOrder(order_request("products/tea-1")).name
    events = list(orders.WatchOrder(order_service_pb2.WatchOrderRequest(name=name)))
    assert [event.WhichOneof("event") for event in events] == ["order", "heartbeat", "end"]


def test_products_are_the_same_for_both(channel: grpc.Channel, client: Any) -> None:
    stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)
    answer = stub.ListProducts(inventory_service_pb2.ListProductsRequest(page_size=3))
    names = [each["name"] for each in client.get("/v1/products?page_size=3").json()["products"]]
    assert [product.name for product in answer.products] == names


def counted(address: str) -> dict[str, int]:
    """
    Return the number of gRPC calls by status, as Prometheus reads it.
    """
    metrics = httpx.get(f"http://{address}/stats/prometheus").text
    found: dict[str, int] = {}
    for status, calls in re.findall(r"^envoy_cluster_grpc_(\d+)\{[^}]*outbound[^}]*\} (\d+)$", metrics, re.MULTILINE):
        found[status] = found.get(status, 0) + int(calls)
    return found


def test_failed_call_is_counted_by_its_status_whatever_its_source(
    own_shop: str, channel: grpc.Channel, orders: Any, client: httpx.Client
) -> None:
    before = counted(rig.ADMIN)
    # By the edge without a replica; by a service; by an invalid request.
    calls = (
        lambda: orders.FulfilOrder(order_service_pb2.FulfilOrderRequest(name=ORDER)),
        lambda: inventory_service_pb2_grpc.InventoryServiceStub(channel).GetProduct(
            inventory_service_pb2.GetProductRequest(name="products/tea-mesh")
        ),
        lambda: orders.CreateOrder(order_request("products/tea-1", quantity=0)),
    )
    for call in calls:
        with pytest.raises(grpc.RpcError):
            call()
    # JSON clients get HTTP codes, which are counted as such.
    assert client.get("/v1/products/tea-mesh").status_code == 503
    after = counted(rig.ADMIN)
    assert {status: after[status] - before.get(status, 0) for status in ("14", "3")} == {"14": 2, "3": 1}
