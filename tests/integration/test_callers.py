"""Who may do what through the edge: anonymous callers, customers, operators."""

import uuid

import grpc
import pytest
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import order_service_pb2, order_service_pb2_grpc

from runtime.status import from_rpc_error
from shop_client import rest
from stack import customer


def reason(answer):
    return answer.json()["details"][0]["reason"]


async def place(client, product, key=None):
    return await rest.place(client, rest.basket(product), key or "")


@pytest.fixture
async def product(edge):
    return (await edge.get("/v1/products")).json()["products"][0]["name"]


async def test_products_are_public(stack):
    async with stack.client() as nobody:
        assert (await nobody.get("/v1/products")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/orders", f"/v1/orders/{uuid.UUID(int=0)}", "/v1/backlog", "/ops/api/board"])
async def test_anonymous_calls_are_401(stack, path):
    async with stack.client() as nobody:
        answer = await nobody.get(path)
    assert (answer.status_code, reason(answer)) == (401, "MISSING_TOKEN")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_anonymous_orders_are_not_placed(stack, product):
    async with stack.client() as nobody:
        answer = await place(nobody, product)
    assert answer.status_code == 401


async def test_a_forged_identity_header_is_ignored(stack, product):
    async with stack.client() as nobody:
        nobody.headers.update({"x-customer-id": "ana", "x-operator": "true"})
        assert (await place(nobody, product)).status_code == 401


async def test_a_customer_cannot_claim_to_be_another_or_an_operator(edge, product):
    edge.headers.update({"x-customer-id": "victim", "x-operator": "true"})
    order = (await place(edge, product)).json()
    assert order["customer"] != "customers/victim"
    fulfilled = await edge.post(f"/v1/{order['name']}:fulfil", json={})
    assert fulfilled.status_code == 403


async def test_another_customers_order_is_404(stack, edge, product):
    order = (await place(edge, product)).json()
    async with stack.client("somebody-else") as other:
        seen = await other.get(f"/v1/{order['name']}")
        cancelled = await other.post(f"/v1/{order['name']}:cancel", json={})
        listed = await other.get("/v1/orders")
    assert (seen.status_code, cancelled.status_code) == (404, 404)
    assert order["name"] not in listed.text


async def test_two_customers_may_use_the_same_key(stack, product):
    key = str(uuid.uuid4())
    async with stack.client("first") as first, stack.client("second") as second:
        names = [(await place(each, product, key)).json()["name"] for each in (first, second)]
    assert len(set(names)) == 2


async def test_only_operators_restock(stack, edge, product):
    body, key = {"quantity": 3}, {"idempotency-key": str(uuid.uuid4())}
    refused = await edge.post(f"/v1/{product}:restock", json=body, headers=key)
    async with stack.client("otto", operator=True) as operator:
        before = (await operator.get(f"/v1/{product}")).json()["stock"]["onHand"]
        answers = [await operator.post(f"/v1/{product}:restock", json=body, headers=key) for _ in range(2)]
    assert (refused.status_code, reason(refused)) == (403, "FORBIDDEN")
    assert [answer.json()["stock"]["onHand"] for answer in answers] == [str(int(before) + 3)] * 2


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/v1/backlog"),
        ("GET", f"/v1/orders/{uuid.UUID(int=0)}:timeline"),
        ("POST", "/v1/deadLetters:redrive"),
        ("POST", "/v1/orders:reconcile"),
        ("POST", "/v1/customers:export"),
        ("POST", "/v1/customers:erase"),
        ("GET", "/ops/api/board"),
    ],
)
async def test_operations_are_for_operators(edge, verb, path):
    answer = await edge.request(verb, path, json={} if verb == "POST" else None)
    assert (answer.status_code, reason(answer)) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("PUT", "/ops/api/board", (403, "FORBIDDEN")),
        ("DELETE", "/ops/api/board", (403, "FORBIDDEN")),
        ("GET", "/issuer/none", (404, "UNKNOWN_PATH")),
        ("PUT", "/issuer/token", (405, "UNSUPPORTED_METHOD")),
    ],
)
async def test_errors_of_the_mesh_have_the_usual_format(stack, verb, path, expected):
    async with stack.client("otto", operator=True) as operator:
        answer = await operator.request(verb, path)
        head = await operator.head(path)
    assert (answer.status_code, reason(answer)) == expected
    assert answer.headers["content-type"] == "application/json"
    assert "RBAC" not in answer.text
    assert head.content == b""


async def test_a_grpc_client_without_a_token_is_unauthenticated_and_with_one_is_served(stack):
    metadata = customer.metadata(stack.settings, "grpc-client")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}") as channel:
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await orders.ListOrders(order_service_pb2.ListOrdersRequest())
        await orders.ListOrders(order_service_pb2.ListOrdersRequest(), metadata=metadata)
        inventory = inventory_service_pb2_grpc.InventoryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as hold:
            await inventory.ListHolds(inventory_service_pb2.ListHoldsRequest(), metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert from_rpc_error(refused.value).reason == "MISSING_TOKEN"
    assert hold.value.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


async def test_a_page_may_be_larger_than_the_connection_buffer(edge):
    answer = await edge.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"]
    assert len(answer.content) > 65536
