"""
Orders is cut off from its dependencies, in one and in both directions: the responses, and that each order takes effect
once.
"""

import uuid

import httpx
import pytest

from shop_client.rest import basket, in_stock, keyed, place, unconfirmed
from tests.integration.conftest import RECOVERY_LIMIT_S, eventually
from tests.integration.load import NOT_NOW

# A customer who gives up before any time limit of ours.
HANG_UP_S = 1.5


@pytest.fixture
async def product(edge):
    return in_stock((await edge.get("/v1/products")).json(), at_least=50)[0]


async def taken_in_the_end(edge, product, key):
    """Return the order of this key; retry with the same call until it is acknowledged, as a customer does."""

    async def taken():
        answer = await place(edge, basket(product), key)
        assert answer.status_code in (201, 202, 409) or answer.status_code in NOT_NOW, answer.text
        return answer.json() if answer.status_code in (201, 202) else None

    return await eventually(taken, within_s=RECOVERY_LIMIT_S)


async def orders_of(edge):
    return [order["name"] for order in (await edge.get("/v1/orders")).json()["orders"]]


@pytest.mark.parametrize("way", [(), ("--one-way",)], ids=["both ways", "one way"])
async def test_without_inventory_orders_are_pending_and_confirmed_afterwards(edge, cut, product, way):
    async with cut("orders", "inventory", *way):
        answer = await place(edge, basket(product))
        assert (answer.status_code, answer.json()["state"]) == (202, "PENDING")
    assert not await unconfirmed([edge], [answer.json()["name"]], within_s=RECOVERY_LIMIT_S)


@pytest.mark.parametrize("way", [(), ("--one-way",)], ids=["both ways", "one way"])
async def test_without_kafka_orders_are_confirmed_and_their_events_are_published_afterwards(
    edge, cut, topic, product, way
):
    events = topic("order_events")
    async with cut("kafka", "orders", *way):
        answer = await place(edge, basket(product))
        assert answer.status_code == 201
    order = answer.json()["name"].removeprefix("orders/").encode()
    await events.find(lambda value: order in value, within_s=RECOVERY_LIMIT_S)


async def test_without_postgresql_orders_are_refused_with_a_retry_delay(edge, cut, product):
    key = str(uuid.uuid4())
    async with cut("orders", "postgres"):
        answer = await place(edge, basket(product), key)
        assert answer.status_code in NOT_NOW
        assert "retry-after" in answer.headers
    order = await taken_in_the_end(edge, product, key)
    assert await orders_of(edge) == [order["name"]]


async def test_an_order_with_a_lost_commit_response_is_one_order_after_its_retry(edge, cut, product):
    key = str(uuid.uuid4())
    async with cut("postgres", "orders", "--one-way"):
        with pytest.raises(httpx.ReadTimeout):
            await edge.post("/v1/orders", json=basket(product), headers=keyed(key), timeout=HANG_UP_S)
    order = await taken_in_the_end(edge, product, key)
    assert await orders_of(edge) == [order["name"]]
