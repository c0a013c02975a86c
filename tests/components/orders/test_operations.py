"""Operators' RPCs on a running replica with a real Kafka."""

import asyncio
import datetime
import uuid

import confluent_kafka
from shop.orders.v1 import operations_service_pb2, operations_service_pb2_grpc, order_pb2, order_service_pb2

from runtime.errors import PermissionDenied
from tests.components.orders.test_service import ANN, OPERATOR, create, refusal, state_of

Order = order_pb2.Order
Entry = operations_service_pb2.OrderTimelineEntry


def operations(replica):
    return operations_service_pb2_grpc.OperationsServiceStub(replica.channel)


def publish(brokers, topic, *values):
    producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "log_level": 0})
    for value in values:
        producer.produce(topic, key=uuid.uuid4().hex, value=value)
    producer.flush(10)


async def test_customers_are_denied(replicas):
    (replica,) = await replicas()
    for call in (
        operations(replica).GetBacklog(operations_service_pb2.GetBacklogRequest(), metadata=ANN),
        operations(replica).GetOrderTimeline(
            operations_service_pb2.GetOrderTimelineRequest(name=f"orders/{uuid.uuid4()}"), metadata=ANN
        ),
        operations(replica).RedriveDeadLetters(operations_service_pb2.RedriveDeadLettersRequest(), metadata=ANN),
        operations(replica).ReconcileOrders(operations_service_pb2.ReconcileOrdersRequest(), metadata=ANN),
        operations(replica).ExportCustomer(
            operations_service_pb2.ExportCustomerRequest(name="customers/ann"), metadata=ANN
        ),
        operations(replica).EraseCustomer(
            operations_service_pb2.EraseCustomerRequest(name="customers/ann"), metadata=ANN
        ),
    ):
        error = await refusal(call)
        assert isinstance(error, PermissionDenied)
        assert error.reason == "OPERATOR_ONLY"


async def test_an_invalid_message_is_dead_lettered_and_the_next_order_is_confirmed(
    replicas, kafka, inventory, eventually, topic
):
    await inventory.stop()
    (replica,) = await replicas()
    await asyncio.to_thread(publish, kafka, "pending_orders", *[b"\xff garbage"] * 20)
    order = await replica.orders.CreateOrder(create(), metadata=ANN)
    await inventory.start()

    async def finished():
        return await state_of(replica, order) == Order.CONFIRMED

    await eventually(finished)
    dead = await asyncio.to_thread(topic, "pending_orders.dead", at_least=20)
    assert len(dead) == 20
    assert dead[0].headers["reason"] == "POISON_MESSAGE"


async def test_dead_letters_are_counted_redriven_and_confirmed(replicas, kafka, inventory, eventually, environment):
    """The order is dead-lettered while inventory is down; then it is back and an operator redrives."""
    environment["SAGA_GIVE_UP_S"] = "1"
    await inventory.stop()
    (replica,) = await replicas()
    order = await replica.orders.CreateOrder(create(), metadata=ANN)
    await asyncio.to_thread(publish, kafka, "pending_orders", b"\xff garbage")

    async def backlog():
        return await operations(replica).GetBacklog(operations_service_pb2.GetBacklogRequest(), metadata=OPERATOR)

    async def given_up():
        seen = await backlog()
        return seen if seen.dead_letters == 2 else None

    seen = await eventually(given_up, within_s=60)
    assert {each.state: each.orders for each in seen.states}[Order.PENDING] == 1
    assert seen.oldest_pending_age.ToTimedelta().total_seconds() > 1
    assert sum(each.messages for each in seen.topics) == 0
    assert await state_of(replica, order) == Order.PENDING

    await inventory.start()
    redrive = operations_service_pb2.RedriveDeadLettersRequest()
    answer = await operations(replica).RedriveDeadLetters(redrive, metadata=OPERATOR, timeout=10)
    assert (answer.redriven, answer.passed_over) == (1, 1)

    async def finished():
        return await state_of(replica, order) == Order.CONFIRMED

    await eventually(finished)
    again = await operations(replica).RedriveDeadLetters(redrive, metadata=OPERATOR, timeout=10)
    assert (again.redriven, again.passed_over) == (0, 0)

    async def counted():
        return (await backlog()).dead_letters == 0

    await eventually(counted)


async def test_kill_9_during_a_batch_loses_and_duplicates_nothing(replicas, inventory, eventually):
    """kill -9 of the replica that processes 200 pending orders; the other one finishes them."""
    await inventory.stop()
    first, second = await replicas(2)
    batch = order_service_pb2.BatchCreateOrdersRequest(requests=[create(key=f"k{n}") for n in range(200)])

    async def all_pending():
        # On a busy machine some orders may need the retry that the error asks for.
        answer = await first.orders.BatchCreateOrders(batch, metadata=ANN, timeout=20)
        return all(each.order.state == Order.PENDING for each in answer.outcomes)

    await eventually(all_pending, within_s=40)
    inventory.servicer.delay_s = 0.3
    await inventory.start()

    async def some_confirmed():
        return inventory.servicer.calls >= 2

    await eventually(some_confirmed, within_s=30)
    first.kill()
    inventory.servicer.delay_s = 0

    async def all_confirmed():
        request = order_service_pb2.ListOrdersRequest(page_size=500, state=Order.CONFIRMED)
        listed = await second.orders.ListOrders(request, metadata=ANN)
        return len(listed.orders) == 200

    await eventually(all_confirmed, within_s=60)
    assert inventory.servicer.stock["products/tea"] == 1_000_000 - 200


def published_in(timeline):
    return [each for each in timeline.entries if each.kind == Entry.PUBLISHED]


def rest_of(timeline):
    return [each for each in timeline.entries if each.kind != Entry.PUBLISHED]


async def test_a_timeline_covers_an_order_from_request_to_end(replicas, topic, inventory, eventually, environment):
    environment["SAGA_RETRY_DELAYS_S"] = "[1, 2]"
    await inventory.stop()
    (replica,) = await replicas()
    trace = "0af7651916cd43dd8448eb211c80319c"
    order = await replica.orders.CreateOrder(
        create(key="mine"), metadata=(*ANN, ("traceparent", f"00-{trace}-b7ad6b7169203331-01"))
    )

    async def timeline():
        request = operations_service_pb2.GetOrderTimelineRequest(name=order.name)
        return await operations(replica).GetOrderTimeline(request, metadata=OPERATOR, timeout=20)

    async def waits():
        current = await timeline()
        return current if current.entries[-1].deliveries else None

    seen = await eventually(waits)
    published = published_in(seen)
    assert [each.kind for each in rest_of(seen)] == [Entry.CHANGED, Entry.ANSWERED, Entry.MESSAGE_WAITS]
    placed, answered, retried = rest_of(seen)
    assert {(each.topic, each.version, each.trace_id) for each in published} == {
        ("order_events", 1, trace),
        ("pending_orders", 1, trace),
    }
    for each in published:
        [record] = await asyncio.to_thread(topic, each.topic)
        assert (record.partition, record.offset) == (each.partition, each.offset)
        assert each.time.ToMilliseconds() == record.timestamp_ms
    assert (placed.state, placed.version, placed.replica, placed.trace_id) == (Order.PENDING, 1, "orders-0", trace)
    assert answered.detail == "request mine"
    assert retried.topic.startswith("pending_orders.retry.")
    assert retried.detail.startswith("INVENTORY_UNAVAILABLE: ")
    assert retried.trace_id == trace
    [unknown] = seen.unknown
    assert unknown.startswith("inventory: ")

    await inventory.start()

    async def ended():
        current = await timeline()
        # Kafka is asked after the database, so it may have the event of a version that is not among the entries.
        all_published = len(published_in(current)) == 3
        return current if current.order.state == Order.CONFIRMED and all_published else None

    seen = await eventually(ended)
    assert {(each.topic, each.version, each.detail) for each in published_in(seen)} == {
        ("order_events", 1, "not yet consumed by inventory"),
        ("order_events", 2, "not yet consumed by inventory"),
        ("pending_orders", 1, "consumed by orders-saga"),
    }
    assert [each.kind for each in rest_of(seen)][:3] == [Entry.CHANGED, Entry.ANSWERED, Entry.CHANGED]
    confirmed, hold = rest_of(seen)[2], seen.entries[-1]
    assert (confirmed.state, confirmed.version, confirmed.replica, confirmed.trace_id) == (
        Order.CONFIRMED,
        2,
        "orders-0",
        trace,
    )
    assert confirmed.after.ToTimedelta() > datetime.timedelta(0)
    assert (hold.kind, hold.detail.startswith("until ")) == (Entry.STOCK_HELD, True)
    assert not seen.unknown

    nobody = operations_service_pb2.GetOrderTimelineRequest(name=f"orders/{uuid.uuid4()}")
    error = await refusal(operations(replica).GetOrderTimeline(nobody, metadata=OPERATOR))
    assert error.reason == "ORDER_NOT_FOUND"
