"""An order's timeline while one of its sources is unavailable."""

import asyncio
import uuid

import pytest
from shop.orders.v1 import order_pb2

from orders_svc import saga, timeline
from orders_svc.operations_ports import Version
from orders_svc.timeline import Kind, Timelines
from runtime.errors import Unavailable
from runtime.messaging.message import Message
from runtime.messaging.published import Found

ORDER = uuid.uuid4()
PATH = saga.stages([1.0])


class Records:
    async def versions(self, order_id):
        order = order_pb2.Order(name=f"orders/{order_id}", state=order_pb2.Order.PENDING)
        return [Version(version=1, snapshot=order.SerializeToString(), replica="orders-0", trace_id="")]

    async def answered(self, order_id, at):
        return []

    async def unpublished(self, order_id):
        return []


class Away:
    async def state_of_hold(self, order_id):
        raise Unavailable("inventory is away")


class Silent:
    async def of(self, topics, key):
        await asyncio.Event().wait()


class NoKafka:
    async def of(self, topics, key):
        raise Unavailable("Kafka is away")

    async def find(self, topic, key, sought):
        raise Unavailable("Kafka is away")

    async def positions(self, topics):
        raise Unavailable("Kafka is away")


class Coordinatorless:
    """Kafka while the brokers answer and a group's coordinator does not."""

    async def of(self, topics, key):
        return []

    async def find(self, topic, key, sought):
        return Found([Message(topic, 0, 4, key, b"", {}, 1000)])

    async def positions(self, topics):
        await asyncio.Event().wait()


async def test_unavailable_parts_are_named_and_the_rest_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "LOOK_S", 0.01)
    found = await Timelines(Records(), Away(), Silent(), NoKafka(), NoKafka(), PATH).of(ORDER)
    assert [each.kind for each in found.entries] == [Kind.CHANGED]
    assert found.unknown == ["Kafka: Kafka is away", "Kafka: no answer within 0.01 s", "inventory: inventory is away"]


async def test_an_unavailable_kafka_is_named_once() -> None:
    kafka = NoKafka()
    found = await Timelines(Records(), Away(), kafka, kafka, kafka, PATH).of(ORDER)
    assert found.unknown == ["Kafka: Kafka is away", "inventory: inventory is away"]


async def test_events_are_shown_while_it_is_not_known_who_consumed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "CONSUMED_S", 0.01)
    kafka = Coordinatorless()
    found = await Timelines(Records(), Away(), kafka, kafka, kafka, PATH).of(ORDER)
    published = [(each.topic, each.offset, each.detail) for each in found.entries if each.kind is Kind.PUBLISHED]
    assert published == [("order_events", 4, ""), ("pending_orders", 4, "")]
