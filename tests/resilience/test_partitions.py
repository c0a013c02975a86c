"""Orders is cut off from what it needs, one way and both: what customers see, and that each order happens once."""

import uuid

import pytest

from shop_client.rest import basket, in_stock, place, unconfirmed
from tests.integration.conftest import RECOVERY_LIMIT_S, eventually
from tests.integration.load import NOT_NOW

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def product(edge):
    return in_stock((await edge.get("/v1/products")).json(), at_least=50)[0]


async def taken_in_the_end(edge, product, key):
    """The order of this key; asked for with the same call until it is taken, as a customer does."""

    async def taken():
        answer = await place(edge, basket(product), key)
        assert answer.status_code in (201, 202, 409) or answer.status_code in NOT_NOW, answer.text
        return answer.json() if answer.status_code in (201, 202) else None

    return await eventually(taken, within_s=RECOVERY_LIMIT_S)


async def orders_of(edge):
    return [order["name"] for order in (await edge.get("/v1/orders")).json()["orders"]]


@pytest.mark.parametrize("way", [(), ("--one-way",)], ids=["both ways", "one way"])
async def test_without_inventory_orders_are_pending_and_confirmed_after_it(edge, cut, product, way):
    async with cut("orders", "inventory", *way):
        answer = await place(edge, basket(product))
        assert (answer.status_code, answer.json()["state"]) == (202, "PENDING")
    assert not await unconfirmed([edge], [answer.json()["name"]], within_s=RECOVERY_LIMIT_S)


@pytest.mark.parametrize("way", [(), ("--one-way",)], ids=["both ways", "one way"])
async def test_without_kafka_orders_are_confirmed_and_their_events_come_after_it(edge, cut, topic, product, way):
    events = topic("order_events")
    async with cut("kafka", "orders", *way):
        answer = await place(edge, basket(product))
        assert answer.status_code == 201
    order = answer.json()["name"].removeprefix("orders/").encode()
    await events.find(lambda value: order in value, within_s=RECOVERY_LIMIT_S)


@pytest.mark.parametrize(
    ("one", "other", "way"),
    [("orders", "postgres", ()), ("orders", "postgres", ("--one-way",)), ("postgres", "orders", ("--one-way",))],
    ids=["both ways", "what orders sends", "what PostgreSQL sends"],
)
async def test_without_postgresql_orders_are_refused_and_a_repeat_is_one_order(edge, cut, product, one, other, way):
    key = str(uuid.uuid4())
    async with cut(one, other, *way):
        answer = await place(edge, basket(product), key)
        assert answer.status_code in NOT_NOW
        assert "retry-after" in answer.headers
    order = await taken_in_the_end(edge, product, key)
    assert await orders_of(edge) == [order["name"]]
