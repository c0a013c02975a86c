"""
After a restore: whoever was erased since the moment that was restored is in the database again, and is erased again.

Kafka, which was not restored, has an event of each erased order for as long as it keeps events.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError
from shop.orders.v1 import events_pb2

from orders_svc import wire
from orders_svc.customer_data import CustomerData
from orders_svc.operations_ports import CustomerRecords
from runtime.caller import Caller, customer_name
from runtime.errors import Error
from runtime.messaging.message import Message

PAGE = 500
WITHIN_S = 120.0
"""Of the 300 s that the restore waits for all that follows it."""
LEFT = "customer_not_erased_again"
RESTORE = Caller("restore")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ErasedAgain:
    """How many customers were erased again, and how many could not be, such as those whose orders are open again."""

    erased: int
    left: int


def told_of(messages: Iterable[Message]) -> set[uuid.UUID]:
    """
    Return the orders whose customers were erased according to *messages* of `order_events`.
    """
    return {order for message in messages if (order := _erased_order(message)) is not None}


def _erased_order(message: Message) -> uuid.UUID | None:
    try:
        event = events_pb2.OrderEvent.FromString(message.value or b"")
        return wire.order_id(event.order.name) if event.HasField("customer_erase_time") else None
    except (DecodeError, ValueError):
        # Whoever may write to the topic can write anything.
        return None


async def erase_again(
    data: CustomerData, records: CustomerRecords, orders: Iterable[uuid.UUID], *, within_s: float = WITHIN_S
) -> ErasedAgain:
    """
    Erase the customers that *orders* have, by their names, and log an order of each that is left.

    After *within_s* no further call is begun, and the rest is left. Raises what the look for their names raises.
    """
    until, ids, customers = time.monotonic() + within_s, sorted(orders), dict[str, uuid.UUID]()
    for at in range(0, len(ids), PAGE):
        customers.update(await records.customers_of(ids[at : at + PAGE]))
    done = [await _erased(data, name, customers[name], until) for name in sorted(customers)]
    return ErasedAgain(done.count(True), done.count(False))


async def _erased(data: CustomerData, customer: str, order: uuid.UUID, until: float) -> bool:
    if why := await _hindrance(data, customer, until):
        # By the order an operator finds the name, which no log is to have.
        log.warning(LEFT, order=f"orders/{order}", reason=why)
    return not why


async def _hindrance(data: CustomerData, customer: str, until: float) -> str:
    """
    Erase the customer; return why that was not done, empty if it was.
    """
    try:
        while time.monotonic() < until:
            last = await data.erase(RESTORE, customer_name(customer), reference="restore")
            if last.done:
                return ""
            if not (last.orders or last.requests):
                return "NO_PROGRESS"
    except Error as error:
        return error.reason
    except Exception as error:
        # Whatever the database says of one: the others have their turn, and the restore is complete otherwise.
        return type(error).__name__
    return "NO_TIME"


def said(again: ErasedAgain) -> str:
    """
    Return *again* in words.
    """
    left = (
        f"; {again.left} could not be: erase them by hand, {LEFT} in the log has an order of each" if again.left else ""
    )
    return f"{again.erased} customers erased again{left}"
