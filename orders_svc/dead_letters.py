"""The dead-letter topics of both services, which operators of orders look after."""

from __future__ import annotations

import uuid

from shop.orders.v1 import events_pb2

from orders_svc import saga
from orders_svc.topics import DEAD_EVENTS, DEAD_ORDERS, ORDER_EVENTS, PENDING_ORDERS
from runtime.messaging.message import Message
from runtime.messaging.redrive import Source

GROUP = "orders-redrive"


def is_pending_order(message: Message) -> bool:
    """
    Return whether *message* is one that the saga could work on.
    """
    try:
        saga.parse(message)
    except saga.Poison:
        return False
    return True


def is_order_event(message: Message) -> bool:
    """
    Return whether *message* is an event of some order.
    """
    try:
        event = events_pb2.OrderEvent.FromString(message.value or b"")
        uuid.UUID(event.order.name.removeprefix("orders/"))
    except Exception:  # whatever it is, it is no event
        return False
    return True


SOURCES = {
    DEAD_ORDERS: Source(PENDING_ORDERS, is_pending_order),
    DEAD_EVENTS: Source(ORDER_EVENTS, is_order_event),
}
