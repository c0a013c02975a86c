"""The errors that web clients get when the mesh or a service fails."""

from __future__ import annotations

import grpc
import httpx
import pytest
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc

from tests.components.edge.conftest import Buyer
from tests.components.edge.statuses import detail, error

ORDER = "orders/9f4e4d67-0000-5000-8000-000000000000"
pytestmark = pytest.mark.usefixtures("own_shop")


def lines(product: str) -> dict[str, object]:
    """
    Return a basket with one line.
    """
    return {"lines": [{"product": product, "quantity": 1}]}


def test_insufficient_stock_names_what_is_missing(buyer: Buyer) -> None:
    refused = error(buyer.buy(lines("products/gone")), 400)
    assert refused["code"] == 9
    assert detail(refused, "PreconditionFailure")["violations"][0]["subject"] == "products/gone"


def test_retry_delay_of_a_service_is_in_the_header_rounded_up(buyer: Buyer) -> None:
    response = buyer.buy(lines("products/busy"))
    assert detail(error(response, 503), "RetryInfo")["retryDelay"] == "2.400s"
    assert response.headers["retry-after"] == "3"


def test_retry_after_has_a_default(buyer: Buyer) -> None:
    response = buyer.buy(lines("products/late"))
    assert error(response, 504)["message"] == "no time is left"
    assert response.headers["retry-after"] == "1"


def test_internal_error_of_a_service_reveals_nothing(buyer: Buyer) -> None:
    assert error(buyer.buy(lines("products/broken")), 500)["message"] == "internal error"


def test_slow_service_is_a_retryable_504(buyer: Buyer) -> None:
    response = buyer.buy(lines("products/asleep"))
    assert error(response, 504)["code"] == 4
    assert response.headers["retry-after"] == "1"


def test_unavailable_service_is_a_retryable_503(client: httpx.Client) -> None:
    response = client.post(f"/v1/{ORDER}:fulfil", json={})
    assert error(response, 503)["code"] == 14
    assert response.headers["retry-after"] == "1"


def test_injected_grpc_fault_is_an_http_error_for_json_clients(client: httpx.Client) -> None:
    response = client.get("/v1/products", headers={"x-fault": "abort"})
    assert error(response, 503)["code"] == 14


def test_upstream_status_without_details_gets_our_error_format(client: httpx.Client) -> None:
    response = client.get("/v1/products/tea-mesh")
    assert error(response, 503)["message"] == "the service does not answer right now"
    assert response.headers["retry-after"] == "1"


def test_client_above_the_rate_limit_gets_a_retry_delay(client: httpx.Client, channel: grpc.Channel) -> None:
    client.get("/v1/limited")
    response = client.get("/v1/limited")
    assert error(response, 429)["code"] == 8
    assert response.headers["retry-after"] == "1"
    call = channel.unary_unary("/limited.Service/Call")
    codes = []
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            call(b"")
        codes.append(caught.value.code())
    assert codes[1] == grpc.StatusCode.RESOURCE_EXHAUSTED


def refused_call(channel: grpc.Channel, product: str, **headers: str) -> grpc.RpcError:
    """
    Read a product by gRPC and return the error.
    """
    stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)
    request = inventory_service_pb2.GetProductRequest(name=f"products/{product}")
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetProduct(request, metadata=[(key.replace("_", "-"), value) for key, value in headers.items()])
    return caught.value


def test_call_of_the_contract_without_a_route_is_worth_a_repeat(client: httpx.Client, channel: grpc.Channel) -> None:
    response = client.get("/v1/products/tea-mint", headers={"x-route": "none"})
    assert error(response, 503)["code"] == 14
    assert response.headers["retry-after"] == "1"
    assert refused_call(channel, "tea-mint", x_route="none").code() == grpc.StatusCode.UNAVAILABLE


def test_path_that_is_not_the_contracts_is_still_a_404(client: httpx.Client) -> None:
    error(client.get("/v1/nothing"), 404)


def test_sidecar_that_denies_the_edge_is_not_the_callers_fault(client: httpx.Client, channel: grpc.Channel) -> None:
    response = client.get("/v1/products/tea-denied")
    assert error(response, 503)["code"] == 14
    assert response.headers["retry-after"] == "1"
    assert "x-mesh-denied" not in response.headers
    denied = refused_call(channel, "tea-denied")
    assert denied.code() == grpc.StatusCode.UNAVAILABLE
    assert denied.details() == "the service does not answer right now"
