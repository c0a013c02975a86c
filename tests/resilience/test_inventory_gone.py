"""Inventory is killed: orders are accepted, wait in Kafka, and are confirmed once it is back."""

import uuid

import pytest
from shop.orders.v1 import events_pb2

from shop_client.rest import basket, in_stock, place, unconfirmed
from tests.integration.conftest import RECOVERY_LIMIT_S, eventually


@pytest.fixture
async def product(edge):
    return in_stock((await edge.get("/v1/products")).json(), at_least=50)[0]


async def available(edge, product):
    return int((await edge.get(f"/v1/{product}")).json()["stock"]["available"])


async def test_an_order_without_inventory_is_202_opens_the_breaker_and_is_confirmed_after(
    stack, edge, topic, logged, product
):
    before = await available(edge, product)
    pending = topic("pending_orders")
    key, others = str(uuid.uuid4()), []
    stack.make("kill", SVC="inventory")
    try:
        accepted = await place(edge, basket(product, 3), key)
        repeated = await place(edge, basket(product, 3), key)
        name = accepted.json()["name"]
        message = await pending.find(lambda value: events_pb2.PendingOrder.FromString(value).order.name == name)

        async def breaker():
            others.append((await place(edge, basket(product))).json()["name"])
            return [line for line in logged("orders") if "BREAKER" in line]

        await eventually(breaker, within_s=20)
    finally:
        stack.make("start", SVC="inventory")

    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["state"] == "PENDING"
    assert (repeated.status_code, repeated.json()["name"]) == (202, name)
    assert message.key.decode() in name
    assert not await unconfirmed([edge], [name, *others], within_s=RECOVERY_LIMIT_S)
    assert await available(edge, product) == before - 3 - len(others)


async def test_losing_one_replica_of_inventory_fails_no_call(stack, edge, product):
    stack.make("kill", SVC="inventory-0")
    try:
        answers = [await place(edge, basket(product)) for _ in range(20)]
    finally:
        stack.make("start", SVC="inventory-0")
    assert [answer.status_code for answer in answers] == [201] * 20
