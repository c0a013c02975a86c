"""What ejects a replica: three connection failures, and never an error response, whoever provoked it."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import pytest
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from shop_client import rest
from tests.components.hops import rig

TEA, BROKEN, BUSY, LATE = "products/tea-1", "products/broken", "products/busy", "products/late"
STOPPING = "products/stopping"
CREATE = "/shop.orders.v1.OrderService/CreateOrder"


def buy(client: httpx.Client, product: str = TEA) -> httpx.Response:
    """
    Order one unit of a product.
    """
    return rest.place(client, rest.basket(product))


@pytest.mark.parametrize(("product", "status"), [(BROKEN, 500), (BUSY, 503), (LATE, 504)])
def test_error_responses_of_a_service_eject_nobody(
    hops: rig.Rig, customer: httpx.Client, product: str, status: int
) -> None:
    before = hops.ejections()
    assert {buy(customer, product).status_code for _ in range(12)} == {status}
    assert hops.ejections() == before
    assert {buy(customer).status_code for _ in range(6)} == {201}


def test_replica_with_a_dead_application_fails_no_call(hops: rig.Rig, customer: httpx.Client) -> None:
    with hops.killed("orders", 1):
        assert {buy(customer).status_code for _ in range(20)} == {201}
        # Not idempotent after it was sent; the sidecar reports that it was not.
        cancel = [customer.post(f"/v1/orders/{uuid.uuid4()}:cancel", json={}).status_code for _ in range(20)]
        assert set(cancel) == {404}


def test_a_call_that_arrives_while_its_server_stops_is_retried(hops: rig.Rig, customer: httpx.Client) -> None:
    assert {buy(customer, STOPPING).status_code for _ in range(6)} == {201}


def test_dead_sidecar_is_ejected_after_three_failures(hops: rig.Rig, customer: httpx.Client) -> None:
    hops.kill("inventory-1-envoy")
    try:
        assert {customer.get("/v1/products").status_code for _ in range(40)} == {200}
        assert hops.ejected() == 1
    finally:
        hops.restart_sidecar("inventory-1")
    hops.settle()


def test_without_any_sidecar_calls_fail_fast_and_recovery_is_quick(hops: rig.Rig, customer: httpx.Client) -> None:
    for replica in rig.REPLICAS:
        hops.kill(f"inventory-{replica}-envoy")
    try:
        for _ in range(6):
            customer.get("/v1/products")
        began = time.monotonic()
        assert {customer.get("/v1/products").status_code for _ in range(10)} == {503}
        assert time.monotonic() - began < 5
        assert hops.ejected() == 2
        # As long as an outage may last: each return of a host is tried, and fails.
        time.sleep(25)
    finally:
        for replica in rig.REPLICAS:
            hops.restart_sidecar(f"inventory-{replica}")
    back = time.monotonic()
    while customer.get("/v1/products").status_code != 200:
        assert time.monotonic() - back < 20, "what is back is not called"
        time.sleep(0.2)
    hops.settle()


@pytest.mark.parametrize("service", ["orders", "inventory"])
def test_frozen_replica_fails_no_call(hops: rig.Rig, customer: httpx.Client, service: str) -> None:
    def call(_: int) -> int:
        return (buy(customer) if service == "orders" else customer.get("/v1/products")).status_code

    with hops.frozen(f"{service}-0"), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(48)))
    assert set(answers) == {201 if service == "orders" else 200}


def test_short_deadlines_of_a_caller_eject_nobody(hops: rig.Rig) -> None:
    before = hops.ejections()
    metadata = [("authorization", f"Bearer {hops.token('hasty')}")]
    line = order_pb2.OrderLine(product="products/asleep", quantity=1)
    with grpc.insecure_channel(rig.HTTP) as channel:
        stub = order_service_pb2_grpc.OrderServiceStub(channel)
        for _ in range(12):
            request = order_service_pb2.CreateOrderRequest(
                order=order_pb2.Order(lines=[line]), request_id=str(uuid.uuid4())
            )
            with pytest.raises(grpc.RpcError) as caught:
                stub.CreateOrder(request, metadata=metadata, timeout=0.2)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    time.sleep(0.5)
    assert hops.ejections() == before


def test_service_slower_than_every_try_ejects_nobody(hops: rig.Rig, customer: httpx.Client) -> None:
    before = hops.ejections()
    with ThreadPoolExecutor(8) as pool:
        answers = {each.status_code for each in pool.map(lambda _: buy(customer, "products/asleep"), range(8))}
    assert answers == {504}
    assert hops.ejections() == before
