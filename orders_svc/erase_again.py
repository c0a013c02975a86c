"""
After a restore: whoever was erased since the moment that was restored is in the database again, and is erased again.

Kafka, which was not restored, has an event of each erased order for as long as it keeps events.
"""

from __future__ import annotations

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


async def erase_again(data: CustomerData, records: CustomerRecords, orders: Iterable[uuid.UUID]) -> ErasedAgain:
    """
    Erase the customers that *orders* have, by their names; raises `Unavailable`.
    """
    ids, names = sorted(orders), set[str]()
    for at in range(0, len(ids), PAGE):
        names |= set(await records.customers_of(ids[at : at + PAGE]))
    done = [await _erased(data, name) for name in sorted(names)]
    return ErasedAgain(done.count(True), done.count(False))


async def _erased(data: CustomerData, customer: str) -> bool:
    try:
        while not (last := await data.erase(RESTORE, customer_name(customer), reference="restore")).done:
            if not (last.orders or last.requests):
                return False
    except Error as error:
        log.warning("customer_not_erased_again", reason=error.reason)
        return False
    return True


def said(again: ErasedAgain) -> str:
    """
    Return *again* in words.
    """
    left = f"; {again.left} could not be, erase them by hand" if again.left else ""
    return f"{again.erased} customers erased again{left}"
