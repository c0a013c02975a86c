"""An order's timeline while one of its sources is unavailable."""

import asyncio
import uuid

import pytest
from shop.orders.v1 import order_pb2

from orders_svc import saga, timeline
from orders_svc.operations_ports import Version
from orders_svc.timeline import Kind, Timelines
from runtime.errors import Unavailable

ORDER = uuid.uuid4()


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


async def test_unavailable_parts_are_named_and_the_rest_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "LOOK_S", 0.01)
    found = await Timelines(Records(), Away(), Silent(), saga.stages([1.0])).of(ORDER)
    assert [each.kind for each in found.entries] == [Kind.CHANGED]
    assert found.unknown == ["Kafka: no answer within 0.01 s", "inventory: inventory is away"]
