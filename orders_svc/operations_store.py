"""Operators' and the reconciler's access to PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from orders_svc import archive, rows, sql
from orders_svc.operations_ports import (
    Answered,
    Miscounted,
    PendingNow,
    Unpublished,
    UnsentEvent,
    Version,
    WaitingNow,
)
from orders_svc.order import Change, Order, State
from orders_svc.session import connection
from runtime import database
from runtime.messaging import outbox, outbox_backlog
from runtime.messaging.message import Record

DEEP_S = 300
"""For the sum over all orders."""


class OperationsStore:
    """The ports `Waits`, `Books` and `Records` on PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def waiting(self) -> WaitingNow:
        """
        Return the number of orders by state, and the backlog of orders and events.
        """
        async with connection(self._pool) as session:
            counted = {State(row["state"]): row["orders"] for row in await session.fetch(sql.STATES)}
            pending = _pending_now(await session.fetchrow(sql.PENDING_NOW))
            events = (await outbox_backlog.look(session)).values()
        return WaitingNow(
            states={state: counted.get(state, 0) for state in State},
            pending=pending,
            outbox_rows=sum(each.waiting for each in events),
            outbox_lag_s=max((each.lag_s for each in events), default=0.0),
            refused_rows=sum(each.refused for each in events),
        )

    async def pending_now(self) -> PendingNow:
        """
        Return how many orders are pending, and for how long the oldest.
        """
        async with connection(self._pool) as session:
            return _pending_now(await session.fetchrow(sql.PENDING_NOW))

    async def versions(self, order_id: uuid.UUID) -> list[Version]:
        """
        Return every version of the order, the oldest first; none if there is no such order.
        """
        async with connection(self._pool) as session:
            found = await archive.versions_of(session, [order_id])
        return [rows.version_of(row) for row in found]

    async def answered(self, order_id: uuid.UUID, at: Sequence[datetime]) -> list[Answered]:
        """
        Return the requests about the order that got responses at these times, as long as they are kept.
        """
        async with connection(self._pool) as session:
            found = await session.fetch(sql.ANSWERS, order_id, list(at))
        return [Answered(row["request_id"], row["version"], row["create_time"]) for row in found]

    async def unpublished(self, order_id: uuid.UUID) -> list[Unpublished]:
        """
        Return the order's events that are not published, the oldest first.
        """
        key = str(order_id).encode()
        async with connection(self._pool) as session:
            found = await session.fetch(sql.UNPUBLISHED, outbox.shard_of(key), key)
        return [Unpublished(row["topic"], row["create_time"], row["refused"]) for row in found]

    async def redrive_rows(self) -> int:
        """
        Publish outbox rows that Kafka refused again; return how many.
        """
        async with connection(self._pool) as session:
            return int((await session.execute(outbox_backlog.REDRIVE)).split()[-1])

    async def wake_relays(self) -> None:
        """
        Wake the relays.
        """
        async with connection(self._pool) as session:
            await session.execute(sql.NOTIFY, outbox.CHANNEL)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """
        Yield whether no other replica is inside, and keep others out if so.
        """
        async with connection(self._pool, limit_s=None) as session:
            try:
                yield await session.fetchval(sql.TRY_LOCK, sql.RECONCILER)
            finally:
                # The lock ends with its session, however this ends.
                database.end_session(session)

    async def unsent(self, before: datetime, *, limit: int) -> list[UnsentEvent]:
        """
        Return events that Kafka refused, or that were written *before* and are not published.
        """
        async with connection(self._pool) as session:
            found = await session.fetch(sql.UNSENT, before, limit)
        return [UnsentEvent(row["id"], row["topic"], row["key"], row["refused"]) for row in found]

    async def still_unsent(self, ids: Sequence[int]) -> set[int]:
        """
        Return which of the events are not published yet.
        """
        async with connection(self._pool) as session:
            return {row["id"] for row in await session.fetch(sql.STILL_UNSENT, list(ids))}

    async def stuck(self, before: datetime, *, limit: int) -> list[Order]:
        """
        Return orders that have been pending since *before*, the oldest first.
        """
        async with connection(self._pool) as session:
            return [rows.order_of(row) for row in await session.fetch(sql.STUCK, before, limit)]

    async def pending_after(self, order_id: uuid.UUID, *, limit: int) -> list[Order]:
        """
        Return pending orders whose ids are above *order_id*, in the order of their ids.
        """
        async with connection(self._pool) as session:
            return [rows.order_of(row) for row in await session.fetch(sql.PENDING_AFTER, order_id, limit)]

    async def publish(self, records: Sequence[Record]) -> None:
        """
        Write *records* to the outbox.
        """
        async with connection(self._pool) as session:
            await outbox.put(session, records)

    async def orders(self, order_ids: Sequence[uuid.UUID]) -> list[Order]:
        """
        Return the existing ones of the orders.
        """
        async with connection(self._pool) as session:
            found = [rows.order_of(row) for row in await session.fetch(sql.OF_IDS, list(order_ids))]
            left = {*order_ids} - {order.id for order in found}
            return found + await archive.orders(session, await archive.places(session, left))

    async def publish_again(self, order: Order) -> None:
        """
        Write the order's last change to the outbox again.
        """
        async with connection(self._pool) as session:
            await outbox.put(session, rows.outbox_rows(Change(None, order)))

    async def generation(self) -> int:
        """
        Return the current stock generation.
        """
        async with connection(self._pool) as session:
            return int(await session.fetchval(sql.GENERATION))

    async def sold(self) -> dict[str, int]:
        """
        Return the units that confirmed and fulfilled orders own, by product, as counted.
        """
        async with connection(self._pool) as session:
            return {row["product"]: row["units"] for row in await session.fetch(sql.SOLD)}

    async def miscounted(self) -> list[Miscounted]:
        """
        Return products whose count differs from their orders'; this reads every order that is not archived.
        """
        async with connection(self._pool, limit_s=None) as session, session.transaction(readonly=True):
            await session.execute(sql.STATEMENT_TIMEOUT.format(seconds=DEEP_S))
            found = await session.fetch(sql.MISCOUNTED, timeout=DEEP_S)
        return [Miscounted(row["product"], row["owned"], row["counted"]) for row in found]


def _pending_now(row: asyncpg.Record) -> PendingNow:
    return PendingNow(row["orders"], max(0.0, float(row["oldest_s"])))
