"""One order driven through every outcome: its spans with their parents, its series, and nothing personal in either."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from shop.orders.v1 import order_pb2, order_service_pb2

from tests.components.orders.test_service import OPERATOR, create, refusal, state_of
from tests.components.orders.test_traces import CALLER, CUSTOMER, ZOE, collector, parents

__all__ = ["collector"]
GIVE_UP_S = 8
OUTCOMES = ("confirmed", "replayed", "out of stock", "cancelled", "fulfilled", "rejected later", "dead letter")
TRACES = {name: f"{number:032x}" for number, name in enumerate(OUTCOMES, start=1)}
CREATE, CANCEL, FULFIL = (f"shop.orders.v1.OrderService/{method}Order" for method in ("Create", "Cancel", "Fulfil"))
HOLD = "shop.inventory.v1.InventoryService/BatchHoldStock"
FINISH = "finish pending order"
ASKED = {(CREATE, CALLER), ("find answers", CREATE)}
HELD = ASKED | {("hold stock", CREATE), (HOLD, "hold stock")}
STORED = HELD | {("store orders", CREATE)}
PENDING = STORED | {("publish pending_orders", CREATE), ("publish order_events", CREATE), (FINISH, CREATE)}
SPANS = {
    "confirmed": STORED | {("publish order_events", CREATE)},
    "replayed": ASKED,
    "out of stock": HELD,
    "cancelled": {(CANCEL, CALLER), ("publish order_events", CANCEL)},
    "fulfilled": {(FULFIL, CALLER), ("find answers", FULFIL), ("publish order_events", FULFIL)},
    "rejected later": PENDING | {("hold stock", FINISH), (HOLD, "hold stock"), ("publish order_events", FINISH)},
    "dead letter": PENDING | {("hold stock", FINISH), (HOLD, "hold stock")},
}
SERIES = {
    ("orders_placed_total", "CONFIRMED"): 2,
    ("orders_placed_total", "PENDING"): 2,
    ("orders_replayed_total", ""): 1,
    ("orders_saga_ended_total", "REJECTED"): 1,
}
SECRETS = (CUSTOMER, "zoe", "products/tea", "grpc-python", "127.0.0.1")


def metadata(outcome, who=ZOE):
    return (*who, ("traceparent", f"00-{TRACES[outcome]}-{CALLER}-01"))


@pytest.fixture
def environment(environment):
    environment |= {"SAGA_RETRY_DELAYS_S": "[1, 2]", "SAGA_GIVE_UP_S": str(GIVE_UP_S)}
    return environment


async def samples(replica):
    """Return a replica's metrics by name and the value of the first label, and their text."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{replica.metrics}/metrics")).text
    families = text_string_to_metric_families(text)
    found = {(s.name, next(iter(s.labels.values()), "")): s.value for family in families for s in family.samples}
    return found, text


async def test_every_outcome_of_an_order_has_its_spans_and_its_series(collector, replicas, inventory, eventually):
    (replica,) = await replicas()
    orders = replica.orders
    order = await orders.CreateOrder(create(key="k"), metadata=metadata("confirmed"))
    assert await orders.CreateOrder(create(key="k"), metadata=metadata("replayed")) == order
    refused = await refusal(orders.CreateOrder(create("products/pot", 6), metadata=metadata("out of stock")))
    assert refused.reason == "OUT_OF_STOCK"
    await orders.CancelOrder(order_service_pb2.CancelOrderRequest(name=order.name), metadata=metadata("cancelled"))
    other = await orders.CreateOrder(create(), metadata=ZOE)
    fulfil = order_service_pb2.FulfilOrderRequest(name=other.name, request_id="f")
    await orders.FulfilOrder(fulfil, metadata=metadata("fulfilled", OPERATOR))
    await inventory.stop()
    late = await orders.CreateOrder(create("products/pot", 6), metadata=metadata("rejected later"))
    assert late.state == order_pb2.Order.PENDING
    await inventory.start()

    async def rejected():
        return await state_of(replica, late, ZOE) == order_pb2.Order.REJECTED

    await eventually(rejected, within_s=30)
    await inventory.stop()
    await orders.CreateOrder(create(), metadata=metadata("dead letter"))

    async def exported():
        found, _ = await samples(replica)
        dead = found.get(("orders_dead_letters", "pending_orders.dead"))
        return dead == 1 and all(SPANS[name] <= parents(collector.spans[TRACES[name]]) for name in OUTCOMES)

    try:
        await eventually(exported, within_s=60)
    finally:
        for name in OUTCOMES:
            assert parents(collector.spans[TRACES[name]]) == SPANS[name], name
    found, text = await samples(replica)
    assert {key: found.get(key) for key in SERIES} == SERIES
    for secret in SECRETS:
        assert secret not in text
        assert not any(secret in each for each in collector.texts), secret
