"""An order's path through the whole system."""

import uuid

import pytest
from shop.orders.v1 import events_pb2, order_pb2

from shop_client.rest import basket, in_stock, place


async def available(edge, product):
    answer = await edge.get(f"/v1/{product}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["stock"]["available"])


async def some_product(edge, *, at_least=10):
    answer = await edge.get("/v1/products")
    assert answer.status_code == 200, answer.text
    return in_stock(answer.json(), at_least=at_least)[0]


async def test_ten_products_are_for_sale(edge):
    answer = await edge.get("/v1/products")
    assert len(answer.json()["products"]) >= 10
    assert all(product["displayName"] for product in answer.json()["products"])


async def test_an_order_is_confirmed_and_its_stock_and_event_are_real(edge, topic):
    product = await some_product(edge)
    before = await available(edge, product)
    events = topic("order_events")

    placed = await place(edge, basket(product, 2))

    assert placed.status_code == 201, placed.text
    order = placed.json()
    assert order["state"] == "CONFIRMED"
    assert placed.headers["location"].endswith(order["name"])
    assert await available(edge, product) == before - 2
    stored = await edge.get(f"/v1/{order['name']}")
    assert stored.json()["lines"] == order["lines"]

    def is_confirmation(value):
        event = events_pb2.OrderEvent.FromString(value)
        return event.order.name == order["name"] and event.order.state == order_pb2.Order.CONFIRMED

    message = await events.find(is_confirmation)
    assert message.key.decode() in order["name"]


async def test_a_retry_with_the_same_key_is_the_same_order_and_takes_no_more_stock(edge):
    product = await some_product(edge)
    key = str(uuid.uuid4())
    first = await place(edge, basket(product), key)
    after_first = await available(edge, product)

    second = await place(edge, basket(product), key)

    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert await available(edge, product) == after_first


@pytest.fixture
async def sold_out(stack, edge):
    """Sell out a product; restore its stock afterwards."""
    products = (await edge.get("/v1/products")).json()["products"]
    product = products[-1]["name"]
    taken = left = await available(edge, product)
    while left:
        placed = await place(edge, basket(product, min(left, 1000)))
        assert placed.status_code == 201, placed.text
        left = await available(edge, product)
    yield product
    await stack.restock(product, taken)


async def test_a_basket_with_one_missing_line_takes_nothing(edge, sold_out):
    product = await some_product(edge)
    before = await available(edge, product)
    lines = basket(product)["lines"] + basket(sold_out)["lines"]

    refused = await place(edge, {"lines": lines})

    assert refused.status_code == 400, refused.text
    details = refused.json()["details"]
    assert details[0]["reason"] == "OUT_OF_STOCK"
    assert [violation["subject"] for violation in details[1]["violations"]] == [sold_out]
    assert await available(edge, product) == before


async def test_calls_between_the_sidecars_are_encrypted(stack, edge):
    """Envoy counts a TLS handshake for every connection of an mTLS listener."""
    import httpx

    from stack.topology.addresses import Host, Port

    await place(edge, basket(await some_product(edge)))
    for host in (Host.ORDERS, Host.INVENTORY):
        total = 0
        for replica in (0, 1):
            admin = stack.network.at(host, Port.ADMIN, replica)
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://{admin}/stats?filter=ssl.handshake&format=json")
            listeners = [s for s in answer.json()["stats"] if s.get("name", "").startswith("listener.")]
            total += sum(each["value"] for each in listeners)
        assert total > 0
