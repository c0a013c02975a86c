"""
Compares orders, holds, events and stock; repairs what a crash left behind and reports the rest.

PostgreSQL decides what an order is; inventory follows. Whatever changed within
the last *settle_s* may still be on its way and is left alone.
"""

# ruff: noqa: S608 - what is put into these statements is written here and in sql.py

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog
from prometheus_client import Gauge

from orders_svc import rows, sql
from orders_svc.backlog import redrive_rows
from orders_svc.checkout import now
from orders_svc.discrepancies import MOST_TOLD, HoldSeen, HoldState, Kind, Report, Stock, judge, units_of
from orders_svc.order import Change, Order, State
from orders_svc.ports import Fenced, Stale
from orders_svc.store import connection
from runtime.errors import Error
from runtime.messaging import outbox

PAGE = 500
LONGEST_S = 300
# Looks at the stock before a difference counts, with a pause between: under load sums are never of one moment.
LOOKS = 5
LOCK = 0x7265636F
LEFT = Gauge("orders_discrepancies", "Differences that the last reconciliation left.", ["kind"])
RUN_AT = Gauge("orders_reconciled_timestamp_seconds", "When the last reconciliation ended.")
log = structlog.get_logger()

COLUMNS = sql.COLUMNS
CONFIRMED = f"SELECT {COLUMNS} FROM orders WHERE state = 'CONFIRMED' AND update_time < $1"
PENDING = f"""SELECT {COLUMNS} FROM orders WHERE state = 'PENDING' AND update_time < $1
    ORDER BY create_time LIMIT {MOST_TOLD}"""
OF_HOLDS = f"SELECT {COLUMNS} FROM orders WHERE order_id = ANY($1::uuid[])"
UNSENT = f"""
SELECT id, topic, convert_from(key, 'UTF8') AS key, refused FROM outbox
WHERE refused IS NOT NULL OR create_time < $1 ORDER BY id LIMIT {MOST_TOLD}
"""
STILL_UNSENT = "SELECT id FROM outbox WHERE id = ANY($1::bigint[])"
OWNED = """
SELECT product, sum(units)::bigint AS units FROM (
    SELECT line.product, line.quantity AS units
    FROM orders, jsonb_to_recordset(orders.lines) AS line (product text, quantity bigint) WHERE state = 'CONFIRMED'
    UNION ALL SELECT product, units FROM fulfilled_units
) AS taken GROUP BY product
"""


class Reconciler:
    """
    Compares and repairs; *finish* is what brings a pending order to an end.

    With *only_look* nothing is repaired.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        stock: Stock,
        finish: Callable[[Order], Awaitable[None]],
        *,
        settle_s: float = 30,
        stuck_s: float = 600,
        pause_s: float = 1,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._pool = pool
        self._stock = stock
        self._finish = finish
        self._settle_s = settle_s
        self._stuck_s = stuck_s
        self._pause_s = pause_s
        self._clock = clock

    async def run(self, *, only_look: bool = False) -> Report:
        """
        Compare everything once; raises `Unavailable` if something can't be asked.
        """
        report = Report()
        repair = not only_look
        await self._unsent(report, repair)
        await self._pending(report, repair)
        await self._confirmed(report, repair)
        await self._all_holds(report, repair)
        await self._units(report)
        self._measure(report)
        return report

    async def run_alone(self) -> None:
        """
        Do a run unless another replica is at it.
        """
        async with connection(self._pool) as session:
            if not await session.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                return
            try:
                await self.run()
            finally:
                await session.fetchval("SELECT pg_advisory_unlock($1)", LOCK)

    @staticmethod
    def _measure(report: Report) -> None:
        left = [each.kind for each in report.discrepancies if not each.repaired]
        for kind in Kind:
            LEFT.labels(kind).set(left.count(kind))
        RUN_AT.set_to_current_time()

    def _before(self, seconds: float) -> datetime:
        return self._clock() - timedelta(seconds=seconds)

    async def _unsent(self, report: Report, repair: bool) -> None:
        """
        Outbox rows that Kafka refused, or that nobody has published for long.
        """
        async with connection(self._pool) as session:
            found = await session.fetch(UNSENT, self._before(self._settle_s))
        if not found:
            return
        if repair:
            await redrive_rows(self._pool)
            await self._pool.execute("SELECT pg_notify($1, '')", outbox.CHANNEL)
        left = await self._left([row["id"] for row in found])
        for row in found:
            detail = f"{row['topic']} of {row['key']}: {row['refused'] or 'nobody has published it'}"
            report.add(Kind.EVENT_NOT_SENT, f"outbox/{row['id']}", detail, repaired=row["id"] not in left)

    async def _left(self, ids: Sequence[int]) -> set[int]:
        """
        Return which rows are still there after the relays had time for them.
        """
        left = set(ids)
        for _ in range(LOOKS):
            await asyncio.sleep(self._pause_s)
            async with connection(self._pool) as session:
                left = {row["id"] for row in await session.fetch(STILL_UNSENT, list(left))}
            if not left:
                break
        return left

    async def _pending(self, report: Report, repair: bool) -> None:
        """
        Orders that wait for much longer than the saga takes while inventory is there.
        """
        async with connection(self._pool) as session:
            waiting = [rows.order_of(row) for row in await session.fetch(PENDING, self._before(self._stuck_s))]
        for order in waiting:
            done = repair and await self._tried(self._finish(order))
            detail = f"has been waiting since {order.create_time.isoformat()}: {order.state_reason}"
            report.add(Kind.ORDER_STUCK_PENDING, order.name, detail, repaired=done)

    async def _tried(self, work: Awaitable[None]) -> bool:
        """
        Return whether *work* succeeded; raises `Unavailable` no further, since the next run comes.
        """
        try:
            await work
        except (Error, Stale, Fenced) as error:
            log.info("a repair failed", error=str(error) or type(error).__name__)
            return False
        return True

    async def _confirmed(self, report: Report, repair: bool) -> None:
        """
        Every confirmed order has a committed hold of its lines.
        """
        async for page in self._pages(CONFIRMED, self._before(self._settle_s)):
            holds = await self._stock.holds_of([order.id for order in page])
            for order in page:
                report.orders += 1
                await self._compare(order, holds.get(order.id), report, repair)

    async def _compare(self, order: Order, hold: HoldSeen | None, report: Report, repair: bool) -> None:
        if hold is not None and hold.state is HoldState.COMMITTED:
            if hold.units != units_of(order):
                report.add(Kind.HOLD_DIFFERS, order.name, f"holds {dict(hold.units)}", repaired=False)
            return
        kind = Kind.HOLD_NOT_COMMITTED if hold and hold.state is HoldState.HELD else Kind.ORDER_WITHOUT_HOLD
        # It may have been cancelled since the page was read.
        if not await self._is_still(order):
            return
        done = repair and await self._tried(self._take(order))
        report.add(kind, order.name, "no hold" if hold is None else f"the hold is {hold.state}", repaired=done)

    async def _take(self, order: Order) -> None:
        await self._stock.take(order)
        await self._retell(order)

    async def _is_still(self, order: Order) -> bool:
        async with connection(self._pool) as session:
            row = await session.fetchrow(sql.GET, order.id)
        return row is not None and row["version"] == order.version

    async def _all_holds(self, report: Report, repair: bool) -> None:
        """
        Every hold has an order that owns it, or a lease that ends it.
        """
        settled = self._before(self._settle_s)
        async for page in self._stock.all_holds():
            async with connection(self._pool) as session:
                found = await session.fetch(OF_HOLDS, [hold.order_id for hold in page])
            orders = {order.id: order for order in map(rows.order_of, found)}
            for hold in page:
                report.holds += 1
                await self._judge(hold, orders.get(hold.order_id), settled, report, repair)

    async def _judge(
        self, hold: HoldSeen, order: Order | None, settled: datetime, report: Report, repair: bool
    ) -> None:
        name = f"holds/{hold.order_id}"
        if order is None:
            # A hold without an order is on its way to one, or its lease ends it. A sale without one is wrong.
            if hold.state is HoldState.COMMITTED:
                done = repair and await self._tried(self._stock.release(hold.order_id))
                report.add(Kind.HOLD_WITHOUT_ORDER, name, "sold to an order that does not exist", repaired=done)
        elif order.update_time < settled and order.state in (State.CANCELLED, State.REJECTED):
            done = repair and await self._tried(self._give_back(order))
            report.add(Kind.HOLD_NOT_RELEASED, name, f"{order.name} is {order.state}", repaired=done)
        elif order.update_time < settled and order.state is State.FULFILLED and hold.state is HoldState.HELD:
            done = repair and await self._tried(self._take(order))
            report.add(Kind.HOLD_NOT_FULFILLED, name, f"{order.name} is {order.state}", repaired=done)

    async def _give_back(self, order: Order) -> None:
        await self._stock.release(order.id)
        await self._retell(order)

    async def _retell(self, order: Order) -> None:
        """
        Publish the order's last change once more: its first event may never have been sent.
        """
        async with connection(self._pool) as session:
            await outbox.put(session, rows.outbox_rows(Change(None, order)))

    async def _units(self, report: Report) -> None:
        """
        For every product: on hand = available + held + sold, and what orders own is sold or held.
        """
        wrong: dict[str, tuple[Kind, str]] = {}
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(self._pause_s)
            seen = await self._differences()
            wrong = seen if look == 0 else {product: seen[product] for product in wrong if product in seen}
            if not wrong:
                return
        for product, (kind, detail) in sorted(wrong.items()):
            report.add(kind, product, detail, repaired=False)

    async def _differences(self) -> dict[str, tuple[Kind, str]]:
        async with connection(self._pool) as session, session.transaction(readonly=True):
            await session.execute(f"SET LOCAL statement_timeout = '{LONGEST_S}s'")
            owned = {row["product"]: row["units"] for row in await session.fetch(OWNED, timeout=LONGEST_S)}
        return {each.product: difference for each in await self._stock.stock() if (difference := judge(each, owned))}

    async def _pages(self, query: str, *arguments: object) -> AsyncIterator[list[Order]]:
        """
        Yield the orders of *query*, all of one snapshot.
        """
        async with connection(self._pool) as session, session.transaction(isolation="repeatable_read", readonly=True):
            cursor: Any = await session.cursor(query, *arguments)
            while page := await cursor.fetch(PAGE):
                yield [rows.order_of(row) for row in page]
