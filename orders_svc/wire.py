"""Conversion between orders and the contract's messages."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from shop.orders.v1 import events_pb2, order_pb2

from orders_svc.order import Change, Line, Order, State
from runtime.caller import customer_id, customer_name, is_customer
from runtime.errors import FieldViolation, InvalidArgument
from runtime.money_message import money, money_message


def timestamp(at: datetime) -> Timestamp:
    """
    Return *at* as a message.
    """
    message = Timestamp()
    message.FromDatetime(at)
    return message


def line_message(line: Line) -> order_pb2.OrderLine:
    """
    Return *line* as a message.
    """
    price = money_message(line.unit_price) if line.unit_price is not None else None
    return order_pb2.OrderLine(product=line.product, quantity=line.quantity, unit_price=price)


def line(message: order_pb2.OrderLine) -> Line:
    """
    Return the line in *message*.
    """
    price = money(message.unit_price) if message.HasField("unit_price") else None
    return Line(message.product, message.quantity, price)


def order_message(order: Order) -> order_pb2.Order:
    """
    Return *order* as clients see it.
    """
    return order_pb2.Order(
        name=order.name,
        customer=customer_name(order.customer),
        lines=[line_message(each) for each in order.lines],
        state=order_pb2.Order.State.Value(order.state),
        state_reason=order.state_reason,
        total=money_message(order.total) if order.total is not None else None,
        version=order.version,
        etag=order.etag,
        create_time=timestamp(order.create_time),
        update_time=timestamp(order.update_time),
    )


def order(message: order_pb2.Order, generation: int = 0) -> Order:
    """
    Return the order in *message*.
    """
    return Order(
        id=order_id(message.name),
        customer=customer_id(message.customer),
        lines=tuple(line(each) for each in message.lines),
        state=State(order_pb2.Order.State.Name(message.state)),
        state_reason=message.state_reason,
        total=money(message.total) if message.HasField("total") else None,
        version=message.version,
        generation=generation,
        create_time=message.create_time.ToDatetime(UTC),
        update_time=message.update_time.ToDatetime(UTC),
    )


def order_id(name: str) -> uuid.UUID:
    """
    Return the id in `orders/{order}`; ValueError if there is none.
    """
    return uuid.UUID(name.removeprefix("orders/"))


def customer(name: str) -> str:
    """
    Return the customer in `customers/{customer}`; `InvalidArgument` if it is not the name of one.

    Only the spelling of `Order.customer` is taken: another one may be decoded to somebody else.
    """
    found = customer_id(name)
    if not is_customer(found) or customer_name(found) != name:
        problem = "is not the name of a customer as Order.customer has it"
        raise InvalidArgument(f"name: {problem}", fields=[FieldViolation("name", problem)])
    return found


def event_id(order: Order, kind: str) -> str:
    """
    Return the id of the event of this version of *order*, the same in every redelivery.
    """
    return str(uuid.uuid5(order.id, f"{kind}/{order.version}"))


def order_event(change: Change) -> events_pb2.OrderEvent:
    """
    Return the record of *change* for `order_events`.
    """
    before = change.before.state if change.before is not None else "STATE_UNSPECIFIED"
    return events_pb2.OrderEvent(
        event_id=event_id(change.after, "event"),
        occur_time=timestamp(change.after.update_time),
        previous_state=order_pb2.Order.State.Value(before),
        order=order_message(change.after),
        stock_generation=change.after.generation,
        hold_generation=_hold_generation(change),
    )


def customer_erased(order: Order, at: datetime) -> events_pb2.OrderEvent:
    """
    Return the record for `order_events` of *order*, which is final, after its customer was erased.

    It is a duplicate of the order's last event except for its id and the day: with the time, which all orders of one
    transaction have, it would tell which had the same customer.
    """
    event = order_event(Change(None, order))
    event.event_id = event_id(order, "erased")
    event.previous_state = event.order.state
    event.customer_erase_time.CopyFrom(timestamp(at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)))
    return event


def _hold_generation(change: Change) -> int:
    if change.after.state is not State.CANCELLED:
        return change.after.generation
    return change.before.generation if change.before is not None else 0


def orders_restored(*, to: datetime, at: datetime, generation: int) -> events_pb2.OrdersRestored:
    """
    Return the record for `orders_restored`: the orders were restored *to* a moment, since *at*.
    """
    return events_pb2.OrdersRestored(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"restored/{to.timestamp()}/{at.timestamp()}")),
        occur_time=timestamp(at),
        restore_time=timestamp(to),
        stock_generation=generation,
    )


def waiting_order(value: bytes) -> Order:
    """
    Return the order that a message of `pending_orders` is about; raise if it is invalid.
    """
    return order(events_pb2.PendingOrder.FromString(value).order)


def pending_order(order: Order) -> events_pb2.PendingOrder:
    """
    Return the record of *order* for `pending_orders`.
    """
    return events_pb2.PendingOrder(
        event_id=event_id(order, "pending"), occur_time=timestamp(order.update_time), order=order_message(order)
    )
