"""The dead-letter topics of both services, which operators redrive through orders."""

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
    Return whether *message* is valid for the saga.
    """
    try:
        saga.parse(message)
    except saga.Poison:
        return False
    return True


def is_order_event(message: Message) -> bool:
    """
    Return whether *message* is a valid event of an order.
    """
    try:
        event = events_pb2.OrderEvent.FromString(message.value or b"")
        uuid.UUID(event.order.name.removeprefix("orders/"))
    except Exception:  # whatever the error, it is not an event
        return False
    return True


SOURCES = {
    DEAD_ORDERS: Source(PENDING_ORDERS, is_pending_order),
    DEAD_EVENTS: Source(ORDER_EVENTS, is_order_event),
}
