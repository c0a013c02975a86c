"""The orders service as a process, with real stores and a stand-in for inventory."""

import asyncio
import uuid

import grpc
import pytest
from shop.orders.v1 import events_pb2, order_pb2, order_service_pb2

from runtime.errors import Error
from runtime.status import from_rpc_error

Order = order_pb2.Order
ANN = (("x-customer-id", "ann"),)
BOB = (("x-customer-id", "bob"),)
OPERATOR = (("x-customer-id", "op"), ("x-operator", "true"))


def create(product="products/tea", quantity=1, key=None):
    line = order_pb2.OrderLine(product=product, quantity=quantity)
    return order_service_pb2.CreateOrderRequest(order=Order(lines=[line]), request_id=key or uuid.uuid4().hex)


async def headers_of(call):
    return dict(await call.trailing_metadata())


async def refusal(call) -> Error:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return from_rpc_error(raised.value)


async def state_of(replica, order, who=ANN):
    got = await replica.orders.GetOrder(order_service_pb2.GetOrderRequest(name=order.name), metadata=who)
    return got.state


async def test_an_order_passes_through_all_states(replicas, topic, inventory):
    (replica,) = await replicas()
    call = replica.orders.CreateOrder(create(quantity=3, key="k"), metadata=ANN)
    order = await call
    headers = await headers_of(call)
    assert (order.state, order.version, order.customer) == (Order.CONFIRMED, 1, "customers/ann")
    assert (order.total.currency_code, order.total.units) == ("EUR", 6)
    assert headers["x-http-code"] == "201"
    assert headers["location"] == f"/v1/{order.name}"
    assert headers["etag"] == order.etag
    assert "idempotency-replayed" not in headers

    repeat = replica.orders.CreateOrder(create(quantity=3, key="k"), metadata=ANN)
    assert (await repeat).SerializeToString() == order.SerializeToString()
    assert (await headers_of(repeat))["idempotency-replayed"] == "true"
    reused = await refusal(replica.orders.CreateOrder(create(quantity=4, key="k"), metadata=ANN))
    assert reused.reason == "IDEMPOTENCY_KEY_REUSED"

    fulfil = order_service_pb2.FulfilOrderRequest(name=order.name, request_id="f")
    assert (await refusal(replica.orders.FulfilOrder(fulfil, metadata=ANN))).reason == "OPERATOR_ONLY"
    done = await replica.orders.FulfilOrder(fulfil, metadata=OPERATOR)
    assert (done.state, done.version) == (Order.FULFILLED, 2)
    again = replica.orders.FulfilOrder(fulfil, metadata=OPERATOR)
    assert (await again) == done
    assert (await headers_of(again))["idempotency-replayed"] == "true"
    cancel = order_service_pb2.CancelOrderRequest(name=order.name)
    assert (await refusal(replica.orders.CancelOrder(cancel, metadata=ANN))).reason == "ILLEGAL_TRANSITION"

    messages = await asyncio.to_thread(topic, "order_events", at_least=2)
    events = [events_pb2.OrderEvent.FromString(message.value) for message in messages]
    assert [event.order.version for event in events] == [1, 2]
    assert [event.previous_state for event in events] == [Order.STATE_UNSPECIFIED, Order.CONFIRMED]
    assert messages[0].key.decode() == order.name.removeprefix("orders/")
    assert len({event.event_id for event in events}) == 2
    assert len(inventory.servicer.holds) == 1


async def test_insufficient_stock_is_rejected_and_nothing_is_stored(replicas):
    (replica,) = await replicas()
    error = await refusal(replica.orders.CreateOrder(create("products/pot", 6), metadata=ANN))
    assert (type(error).__name__, error.reason) == ("FailedPrecondition", "OUT_OF_STOCK")
    assert error.violations[0].subject == "products/pot"
    listed = await replica.orders.ListOrders(order_service_pb2.ListOrdersRequest(), metadata=ANN)
    assert not listed.orders


async def test_without_inventory_an_order_is_pending_until_it_is_back(replicas, inventory, topic, eventually):
    await inventory.stop()
    (replica,) = await replicas()
    call = replica.orders.CreateOrder(create(key="k"), metadata=ANN)
    order = await call
    assert (order.state, order.state_reason) == (Order.PENDING, "INVENTORY_UNAVAILABLE")
    assert (await headers_of(call))["x-http-code"] == "202"
    messages = await asyncio.to_thread(topic, "pending_orders")
    assert events_pb2.PendingOrder.FromString(messages[0].value).order == order
    await asyncio.sleep(8)
    assert await state_of(replica, order) == Order.PENDING
    await inventory.start()

    async def confirmed():
        return await state_of(replica, order) == Order.CONFIRMED

    await eventually(confirmed, within_s=10)
    repeat = replica.orders.CreateOrder(create(key="k"), metadata=ANN)
    assert (await repeat) == order
    assert (await headers_of(repeat))["x-http-code"] == "202"
    assert inventory.servicer.stock["products/tea"] == 999_999


async def test_a_pending_order_without_stock_ends_rejected(replicas, inventory, eventually):
    await inventory.stop()
    (replica,) = await replicas()
    order = await replica.orders.CreateOrder(create("products/pot", 6), metadata=ANN)
    await inventory.start()

    async def rejected():
        got = await replica.orders.GetOrder(order_service_pb2.GetOrderRequest(name=order.name), metadata=ANN)
        return got.state == Order.REJECTED and got.state_reason == "OUT_OF_STOCK"

    await eventually(rejected)


async def test_orders_of_other_customers_are_not_found(replicas):
    (replica,) = await replicas()
    order = await replica.orders.CreateOrder(create(), metadata=ANN)
    get = order_service_pb2.GetOrderRequest(name=order.name)
    cancel = order_service_pb2.CancelOrderRequest(name=order.name)
    for call in (replica.orders.GetOrder(get, metadata=BOB), replica.orders.CancelOrder(cancel, metadata=BOB)):
        assert (await refusal(call)).reason == "ORDER_NOT_FOUND"
    stream = replica.orders.WatchOrder(order_service_pb2.WatchOrderRequest(name=order.name), metadata=BOB)
    assert (await refusal(stream.read())).reason == "ORDER_NOT_FOUND"
    assert await state_of(replica, order, OPERATOR) == Order.CONFIRMED


async def test_a_batch_has_an_outcome_for_each_order(replicas):
    (replica,) = await replicas()
    wanted = [create(key=f"k{n}") for n in range(300)]
    wanted[7] = create("products/pot", 6)
    wanted[8] = create(quantity=0)
    wanted[9] = create(key="k0")
    batch = order_service_pb2.BatchCreateOrdersRequest(requests=wanted)
    outcomes = (await replica.orders.BatchCreateOrders(batch, metadata=ANN, timeout=20)).outcomes
    assert len(outcomes) == 300
    assert [n for n, each in enumerate(outcomes) if each.HasField("error")] == [7, 8]
    assert outcomes[9].order.name == outcomes[0].order.name
    assert outcomes[8].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def test_a_watcher_sees_every_change_on_another_replica_and_the_end(replicas):
    here, there = await replicas(2)
    order = await here.orders.CreateOrder(create(), metadata=ANN)
    stream = there.orders.WatchOrder(order_service_pb2.WatchOrderRequest(name=order.name), metadata=ANN)
    assert (await stream.read()).order == order
    fulfil = order_service_pb2.FulfilOrderRequest(name=order.name)
    await here.orders.FulfilOrder(fulfil, metadata=OPERATOR)
    async with asyncio.timeout(2):
        assert (await stream.read()).order.state == Order.FULFILLED
        assert (await stream.read()).end.status.code == 0
        assert await stream.read() == grpc.aio.EOF


async def test_a_late_watcher_gets_the_versions_it_asks_for(replicas):
    (replica,) = await replicas()
    order = await replica.orders.CreateOrder(create(), metadata=ANN)
    await replica.orders.CancelOrder(order_service_pb2.CancelOrderRequest(name=order.name), metadata=ANN)
    request = order_service_pb2.WatchOrderRequest(name=order.name, from_version=1)
    got = [event async for event in replica.orders.WatchOrder(request, metadata=ANN)]
    assert [event.order.version for event in got if event.HasField("order")] == [1, 2]
    assert got[-1].HasField("end")


async def test_cancel_fails_with_a_stale_etag(replicas):
    (replica,) = await replicas()
    order = await replica.orders.CreateOrder(create(), metadata=ANN)
    wrong = order_service_pb2.CancelOrderRequest(name=order.name, etag='"other"')
    assert (await refusal(replica.orders.CancelOrder(wrong, metadata=ANN))).reason == "ORDER_CHANGED"
    right = order_service_pb2.CancelOrderRequest(name=order.name, etag=order.etag)
    assert (await replica.orders.CancelOrder(right, metadata=ANN)).state == Order.CANCELLED


async def test_a_cancelled_call_is_completed_for_its_retry(replicas, inventory, eventually):
    """The started call is completed, so that the retry finds its order."""
    (replica,) = await replicas()
    inventory.servicer.delay_s = 0.8
    call = replica.orders.CreateOrder(create(key="k"), metadata=ANN)
    await asyncio.sleep(0.4)
    call.cancel()

    async def stored():
        listed = await replica.orders.ListOrders(order_service_pb2.ListOrdersRequest(), metadata=ANN)
        return [order.state for order in listed.orders] == [Order.CONFIRMED]

    await eventually(stored)


async def test_a_slow_inventory_leaves_time_for_a_pending_response(replicas, inventory):
    (replica,) = await replicas()
    inventory.servicer.delay_s = 5
    order = await replica.orders.CreateOrder(create(), metadata=ANN, timeout=1.5)
    assert order.state == Order.PENDING


async def test_sixty_identical_requests_on_two_replicas_are_one_order(replicas, inventory):
    pair = await replicas(2)
    calls = [replica.orders.CreateOrder(create(key="same"), metadata=ANN) for _ in range(30) for replica in pair]
    orders = await asyncio.gather(*calls)
    assert len({order.SerializeToString() for order in orders}) == 1
    listed = await pair[0].orders.ListOrders(order_service_pb2.ListOrdersRequest(), metadata=ANN)
    assert len(listed.orders) == 1
    assert inventory.servicer.stock["products/tea"] == 999_999


async def test_orders_survive_a_database_outage(replicas, postgres, eventually):
    (replica,) = await replicas()
    await replica.orders.CreateOrder(create(), metadata=ANN)
    await asyncio.to_thread(postgres.stop)
    try:
        error = await refusal(replica.orders.CreateOrder(create(key="k"), metadata=ANN, timeout=5))
        assert type(error).__name__ == "Unavailable"
        assert error.retry_after_s
    finally:
        await asyncio.to_thread(postgres.start)

    async def placed():
        try:
            return await replica.orders.CreateOrder(create(key="k"), metadata=ANN, timeout=5)
        except grpc.aio.AioRpcError:
            return None

    assert (await eventually(placed)).state == Order.CONFIRMED
