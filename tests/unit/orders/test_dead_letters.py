"""Which dead letters may be redriven: those that their consumer can parse."""

from datetime import UTC, datetime

import pytest
from shop.orders.v1 import events_pb2, order_pb2

from orders_svc import wire
from orders_svc.dead_letters import DEAD_EVENTS, DEAD_ORDERS, SOURCES
from orders_svc.order import Order
from runtime.messaging.message import Message
from tests.support.orders_port_suite import draft

ORDER = Order.pending(draft(), datetime(2026, 1, 1, tzinfo=UTC))
PENDING = events_pb2.PendingOrder(order=wire.order_message(ORDER))
EVENT = events_pb2.OrderEvent(order=wire.order_message(ORDER))
NAMELESS = events_pb2.OrderEvent(order=order_pb2.Order(name="orders/x"))


def message(value):
    return Message("dead", 0, 0, b"", value, {}, 0)


@pytest.mark.parametrize(
    ("topic", "value", "may"),
    [
        (DEAD_ORDERS, PENDING.SerializeToString(), True),
        (DEAD_ORDERS, b"\xff", False),
        (DEAD_ORDERS, None, False),
        (DEAD_EVENTS, EVENT.SerializeToString(), True),
        (DEAD_EVENTS, NAMELESS.SerializeToString(), False),
        (DEAD_EVENTS, b"\xff", False),
        (DEAD_EVENTS, None, False),
    ],
)
def test_only_valid_dead_letters_are_redriven(topic, value, may):
    assert SOURCES[topic].accepts(message(value)) is may
