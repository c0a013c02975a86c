"""What is stored about customers in PostgreSQL: read, and erased."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg
from google.protobuf.message import Message
from shop.orders.v1 import events_pb2, order_pb2

from orders_svc import archive, rows, sql, wire
from orders_svc.operations_ports import Remembered, StoredCounts, Version
from orders_svc.order import ERASED, Order, State
from orders_svc.refusals import EventsWaiting
from orders_svc.session import connection
from orders_svc.topics import ORDER_EVENTS, PENDING_ORDERS
from runtime.caller import customer_name
from runtime.messaging import outbox
from runtime.messaging.message import Record

EVENTS: Mapping[str, type[Message]] = {
    ORDER_EVENTS: events_pb2.OrderEvent,
    PENDING_ORDERS: events_pb2.PendingOrder,
}
"""The topics whose messages have an order, and so its customer."""


MAX_WAITING = 20_000
"""
With more rows in the outbox than this nothing is erased: each slice reads all of them.

After a restore no relay runs, so this is also how many orders are erased again.
"""


class CustomerStore:
    """The port `CustomerRecords` on PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def stored(self, customer: str) -> StoredCounts:
        """
        Return how much is stored about *customer*.
        """
        async with connection(self._pool) as session:
            row = await session.fetchrow(sql.STORED_OF_CUSTOMER, customer)
        return StoredCounts(row["open"], row["final"], row["requests"])

    async def open(self, customer: str) -> int:
        """
        Return how many of the customer's orders are not final.
        """
        async with connection(self._pool) as session:
            return int(await session.fetchval(sql.OPEN_OF_CUSTOMER, customer))

    async def orders(self, customer: str, *, before: tuple[datetime, uuid.UUID], limit: int) -> list[Order]:
        """
        Return at most *limit* of the customer's orders that are older than *before*, newest first.
        """
        async with connection(self._pool) as session:
            found = await session.fetch(sql.LIST_OF_CUSTOMER, [*State], *before, limit, customer)
            return await archive.listed(session, found)

    async def customers_of(self, order_ids: Sequence[uuid.UUID]) -> dict[str, uuid.UUID]:
        """
        Return who placed the orders, each with one of them, without those who are erased.
        """
        async with connection(self._pool) as session:
            found = await session.fetch(sql.CUSTOMERS_OF, [*order_ids], ERASED)
        return {row["customer"]: row["order_id"] for row in found}

    async def versions_of(self, order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Version]]:
        """
        Return for each of the orders its versions, the first one first.
        """
        versions: dict[uuid.UUID, list[Version]] = {each: [] for each in order_ids}
        async with connection(self._pool) as session:
            found = await archive.versions_of(session, order_ids)
        for row in found:
            versions[row["order_id"]].append(rows.version_of(row))
        return versions

    async def requests(self, customer: str, *, after: str, limit: int) -> list[Remembered]:
        """
        Return at most *limit* of the customer's requests whose ids are above *after*, in the order of their ids.
        """
        async with connection(self._pool) as session:
            found = await session.fetch(sql.REQUESTS_OF_CUSTOMER, customer, after, limit)
        return [Remembered(row["request_id"], row["order_id"], row["version"], row["create_time"]) for row in found]

    async def erase_orders(self, customer: str, *, at: datetime, limit: int) -> int:
        """
        Give at most *limit* final orders of *customer* to nobody, in one transaction; return how many.

        Their versions and their events that are not published yet are rewritten, and an event tells of each. Archived
        orders come last. Raises `EventsWaiting`.
        """
        async with connection(self._pool) as session, session.transaction():
            found = [rows.order_of(row) for row in await session.fetch(sql.ERASABLE, customer, limit)]
            places = {} if found else archive.placed(await session.fetch(sql.ERASABLE_ARCHIVED, customer, limit))
            found = found or await archive.orders(session, places)
            if not found:
                return 0
            if await session.fetchval(sql.WAITING_AT_MOST, MAX_WAITING + 1) > MAX_WAITING:
                raise EventsWaiting(f"more than {MAX_WAITING} events wait for Kafka; erase once it has taken them")
            orders = [replace(order, customer=ERASED) for order in found]
            erased = await _without_customer(session, orders)
            statement = sql.ERASE_ARCHIVED if places else sql.ERASE
            times = places.values()
            where = {"first_time": min(times), "last_time": max(times)} if places else {}
            count = int(await session.fetchval(statement.text, *statement.arguments(**erased, **where)))
            await outbox.put(session, await _events(orders, at))
            await session.execute(sql.NOTIFY, outbox.CHANNEL)
            return count

    async def erase_requests(self, customer: str, *, limit: int) -> int:
        """
        Forget at most *limit* requests of *customer*; return how many.
        """
        async with connection(self._pool) as session:
            return int((await session.execute(sql.ERASE_REQUESTS, customer, limit)).split()[-1])


async def _without_customer(session: Any, orders: Sequence[Order]) -> dict[str, object]:
    """
    Return the values of `sql.ERASE` for *orders*, which belong to nobody already.

    Orders of many lines take a while: other calls have their turn after each.
    """
    ids = [order.id for order in orders]
    changes = [dict(row) for row in await archive.versions_of(session, ids)]
    for change in changes:
        change["snapshot"] = _of_nobody(change["snapshot"])
        await asyncio.sleep(0)
    waiting = await session.fetch(sql.WAITING_OF, [str(each).encode() for each in ids])
    kept = [row for row in waiting if row["topic"] in EVENTS]
    return {
        "nobody": ERASED,
        "order_id": ids,
        "change_of": [change["order_id"] for change in changes],
        "version": [change["version"] for change in changes],
        "snapshot": [change["snapshot"] for change in changes],
        "row": [row["id"] for row in kept],
        "new_value": [_event_of_nobody(EVENTS[row["topic"]], row["value"]) for row in kept],
    }


async def _events(orders: Sequence[Order], at: datetime) -> list[Record]:
    events = []
    for order in orders:
        events.append(_event(order, at))
        await asyncio.sleep(0)
    return events


def _of_nobody(snapshot: bytes) -> bytes:
    order = order_pb2.Order.FromString(snapshot)
    order.customer = customer_name(ERASED)
    return order.SerializeToString()


def _event_of_nobody(kind: type[Message], value: bytes) -> bytes:
    event: Any = kind.FromString(value)
    event.order.customer = customer_name(ERASED)
    return bytes(event.SerializeToString())


def _event(order: Order, at: datetime) -> Record:
    event = wire.customer_erased(order, at)
    # Without the trace, which all orders of one call would have.
    return Record(ORDER_EVENTS, str(order.id).encode(), event.SerializeToString())
