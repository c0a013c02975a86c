"""
The archive: final orders that are old, out of the tables that every order uses, and still found.

A batch of orders moves with all versions in one transaction, so that each order is in one of both. Whoever looks for an
order looks here after the tables in use: an order moves in this direction only.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from prometheus_client import Counter

from orders_svc import rows, sql
from orders_svc.order import Order
from orders_svc.session import connection

BATCH = 500
ARCHIVED = Counter("orders_archived", "Orders that were moved to the archive.")
FORGOTTEN = Counter("orders_archive_forgotten", "Archived orders that are no longer found, and go with their month.")

Places = Mapping[uuid.UUID, datetime]
"""Archived orders, and when they were placed: that says in which month they are."""


async def places(session: Any, order_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """
    Return which of the orders are archived, and when they were placed.
    """
    ids = [*order_ids]
    return placed(await session.fetch(sql.ARCHIVED_AT, ids)) if ids else {}


def placed(found: Iterable[Any]) -> dict[uuid.UUID, datetime]:
    """
    Return the places in *found*, rows with an order's id and when it was placed.
    """
    return {row["order_id"]: row["create_time"] for row in found}


def by_month(at: Places) -> list[tuple[list[uuid.UUID], datetime, datetime]]:
    """
    Return the orders *at* these places month by month, each with the first and the last time of placing among them.
    """
    months: dict[tuple[int, int], dict[uuid.UUID, datetime]] = {}
    for order_id, time in at.items():
        in_utc = time.astimezone(UTC)
        months.setdefault((in_utc.year, in_utc.month), {})[order_id] = time
    return [([*each], min(each.values()), max(each.values())) for each in months.values()]


async def orders(session: Any, at: Places) -> list[Order]:
    """
    Return the orders *at* these places.
    """
    return [rows.order_of(row) for row in await _fetch(session, sql.ARCHIVED, at)]


async def listed(session: Any, found: Iterable[Any]) -> list[Order]:
    """
    Return the orders of *found*, rows of `sql.LIST_OF_CUSTOMER`, which have only the places of archived ones.
    """
    page = [*found]
    at = placed(row for row in page if row["version"] is None)
    archived = {order.id: order for order in await orders(session, at)}
    return [
        archived[row["order_id"]] if row["order_id"] in at else rows.order_of(row)
        for row in page
        if row["order_id"] not in at or row["order_id"] in archived
    ]


async def versions(session: Any, at: Places) -> list[Any]:
    """
    Return the versions of the orders *at* these places, in rows as those of `sql.VERSIONS_OF`.
    """
    return await _fetch(session, sql.ARCHIVED_VERSIONS, at)


async def _fetch(session: Any, statement: str, at: Places) -> list[Any]:
    return [row for month in by_month(at) for row in await session.fetch(statement, *month)]


async def versions_of(session: Any, order_ids: Sequence[uuid.UUID]) -> list[Any]:
    """
    Return the versions of the orders, archived or not, in rows as those of `sql.VERSIONS_OF`.
    """
    found = list(await session.fetch(sql.VERSIONS_OF, [*order_ids]))
    left = {*order_ids} - {row["order_id"] for row in found}
    return found + await versions(session, await places(session, left))


@dataclass(frozen=True, slots=True)
class Archive:
    """
    Moves orders *orders_kept_days* after they were placed, and drops them, by whole months, after *archive_kept_days*.

    Each replica tries; of several at a time one does it.
    """

    pool: asyncpg.Pool
    orders_kept_days: float
    archive_kept_days: float

    async def move(self, limit: int = BATCH) -> int:
        """
        Move at most *limit* orders, the oldest ones, in one transaction; return how many.
        """
        async with connection(self.pool) as session, session.transaction():
            if not await session.fetchval(sql.ALONE, sql.ARCHIVER):
                return 0
            found = placed(await session.fetch(sql.TO_ARCHIVE, timedelta(days=self.orders_kept_days), limit))
            if found:
                await session.execute(sql.MAKE_MONTHS, [*found.values()])
                await session.execute(sql.ARCHIVE, [*found])
        ARCHIVED.inc(len(found))
        return len(found)

    async def forget(self, limit: int = BATCH) -> int:
        """
        Forget at most *limit* archived orders of months that are to be dropped; return how many.
        """
        async with connection(self.pool) as session:
            done = await session.execute(sql.FORGET, timedelta(days=self.archive_kept_days), limit)
        count = int(done.split()[-1])
        FORGOTTEN.inc(count)
        return count

    async def drop_month(self) -> str | None:
        """
        Drop the oldest month of which every order is forgotten; return it as "2026_07", None if there is none.
        """
        async with connection(self.pool) as session, session.transaction():
            if not await session.fetchval(sql.ALONE, sql.ARCHIVER):
                return None
            month: str | None = await session.fetchval(sql.DROP_MONTH, timedelta(days=self.archive_kept_days))
        return month

    async def overdue_s(self) -> float:
        """
        Return for how long the oldest order that is to be moved has been due, in seconds; 0 without any.
        """
        async with connection(self.pool) as session:
            return float((await session.fetch(sql.OVERDUE, timedelta(days=self.orders_kept_days)))[0]["overdue_s"])
