"""
Compares orders, holds, events and stock; repairs what a crash left behind and reports the rest.

PostgreSQL decides what an order is; inventory follows. Whatever changed within
the last *settle_s* may still be on its way and is left alone. A sale leaves no
trace of its own in inventory, so sales are compared as sums; a stock that
differs for good is rebuilt.
"""

# ruff: noqa: S608 - what is put into these statements is written here and in sql.py

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import structlog
from prometheus_client import Gauge

from orders_svc import rows, sql
from orders_svc.backlog import redrive_rows
from orders_svc.checkout import now
from orders_svc.discrepancies import MOST_TOLD, HoldSeen, Kind, Report, Stock, judge, units_of
from orders_svc.order import Change, Order, State
from orders_svc.ports import Fenced, Stale
from orders_svc.store import connection
from runtime import database
from runtime.errors import Error
from runtime.messaging import outbox

DEEP_S = 300
"""For the sum over all orders."""
LOOKS = 8
"""Looks at the stock before a difference counts, with a pause between: under load something is always on its way."""
REBUILD_LOOKS = 30
"""Looks for the generation of a rebuild that was asked for."""
LOCK = 0x7265636F
LEFT = Gauge("orders_discrepancies", "Differences that the last reconciliation left.", ["kind"])
RUN_AT = Gauge("orders_reconciled_timestamp_seconds", "When the last reconciliation ended.")
log = structlog.get_logger()

COLUMNS = sql.COLUMNS
PENDING = f"""SELECT {COLUMNS} FROM orders WHERE state = 'PENDING' AND update_time < $1
    ORDER BY create_time LIMIT {MOST_TOLD}"""
OF_HOLDS = f"SELECT {COLUMNS} FROM orders WHERE order_id = ANY($1::uuid[])"
UNSENT = f"""
SELECT id, topic, convert_from(key, 'UTF8') AS key, refused FROM outbox
WHERE refused IS NOT NULL OR create_time < $1 ORDER BY id LIMIT {MOST_TOLD}
"""
STILL_UNSENT = "SELECT id FROM outbox WHERE id = ANY($1::bigint[])"
SOLD = "SELECT product, sum(units)::bigint AS units FROM sold_units GROUP BY product"
MISCOUNTED = """
SELECT product, coalesce(counted.units, 0) AS counted, coalesce(owned.units, 0) AS owned
FROM (SELECT product, sum(units)::bigint AS units FROM sold_units GROUP BY product) AS counted
FULL JOIN (
    SELECT line.product, sum(line.quantity)::bigint AS units
    FROM orders, jsonb_to_recordset(orders.lines) AS line (product text, quantity bigint)
    WHERE state IN ('CONFIRMED', 'FULFILLED') GROUP BY line.product
) AS owned USING (product)
WHERE coalesce(counted.units, 0) <> coalesce(owned.units, 0) ORDER BY product
"""
Wrong = Mapping[str, tuple[Kind, str]]


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

    async def run(self, *, only_look: bool = False, deep: bool = False) -> Report:
        """
        Compare everything once; raises `Unavailable` if something can't be asked.

        A *deep* run reads every order, to see that the count of their units is right.
        """
        report = Report()
        repair = not only_look
        await self._unsent(report, repair)
        await self._pending(report, repair)
        await self._holds(report, repair)
        await self._units(report, repair)
        if deep:
            await self._count(report)
        self._measure(report)
        return report

    async def run_alone(self) -> None:
        """
        Do a run unless another replica is at it.
        """
        async with connection(self._pool, limit_s=None) as session:
            try:
                if await session.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                    await self.run()
            finally:
                # The lock ends with its session, however this ends.
                database.end_session(session)

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

    async def _holds(self, report: Report, repair: bool) -> None:
        """
        Every open hold is on its way to its order, or its lease ends it.
        """
        settled = self._before(self._settle_s)
        async for page in self._stock.open_holds():
            async with connection(self._pool) as session:
                found = await session.fetch(OF_HOLDS, [hold.order_id for hold in page])
            orders = {order.id: order for order in map(rows.order_of, found) if order.update_time < settled}
            report.holds += len(page)
            report.orders += len(found)
            for hold in page:
                if (order := orders.get(hold.order_id)) is not None:
                    await self._judge(hold, order, report, repair)

    async def _judge(self, hold: HoldSeen, order: Order, report: Report, repair: bool) -> None:
        name = f"holds/{hold.order_id}"
        if order.state in (State.CANCELLED, State.REJECTED):
            done = repair and await self._tried(self._give_back(order))
            report.add(Kind.HOLD_NOT_RELEASED, name, f"{order.name} is {order.state}", repaired=done)
        # One of another generation was asked for twice; it belongs to nobody, and its lease ends it.
        elif order.state is State.PENDING or hold.generation != order.generation:
            return
        elif hold.units != units_of(order):
            report.add(Kind.HOLD_DIFFERS, order.name, f"holds {dict(hold.units)}", repaired=False)
        else:
            done = repair and await self._tried(self._sell(order))
            report.add(Kind.HOLD_NOT_COMMITTED, order.name, "it is confirmed, its hold is not sold", repaired=done)

    async def _sell(self, order: Order) -> None:
        await self._stock.commit(order.id)
        await self._retell(order)

    async def _give_back(self, order: Order) -> None:
        await self._stock.release(order.id)
        await self._retell(order)

    async def _retell(self, order: Order) -> None:
        """
        Publish the order's last change once more: its first event may never have been sent.
        """
        async with connection(self._pool) as session:
            await outbox.put(session, rows.outbox_rows(Change(None, order)))

    async def _units(self, report: Report, repair: bool) -> None:
        """
        For every product: on hand = available + held + sold, and what orders own is sold or held.
        """
        async with connection(self._pool) as session:
            generation = int(await session.fetchval(sql.GENERATION))
        wrong = await self._lasting_differences()
        left = wrong
        if repair and any(kind is not Kind.STOCK_SHORT for kind, _ in wrong.values()):
            await self._tried(self._rebuild(generation))
            left = await self._lasting_differences()
        for product, (kind, detail) in sorted(wrong.items()):
            report.add(kind, product, detail, repaired=product not in left)

    async def _rebuild(self, generation: int) -> None:
        await self._stock.rebuild(generation)
        for _ in range(REBUILD_LOOKS):
            await asyncio.sleep(self._pause_s)
            async with connection(self._pool) as session:
                if await session.fetchval(sql.GENERATION) > generation:
                    return

    async def _lasting_differences(self) -> Wrong:
        """
        Return what is wrong with products each time that they are looked at.
        """
        wrong = await self._differences()
        for _ in range(LOOKS - 1):
            if not wrong:
                break
            await asyncio.sleep(self._pause_s)
            seen = await self._differences()
            wrong = {product: seen[product] for product in wrong if product in seen}
        return wrong

    async def _differences(self) -> Wrong:
        before = await self._sold()
        stock = await self._stock.stock()
        after = await self._sold()
        return {each.product: difference for each in stock if (difference := judge(each, before, after))}

    async def _sold(self) -> dict[str, int]:
        async with connection(self._pool) as session:
            return {row["product"]: row["units"] for row in await session.fetch(SOLD)}

    async def _count(self, report: Report) -> None:
        """
        The units that are counted as sold are those of all confirmed and fulfilled orders.
        """
        async with connection(self._pool, limit_s=None) as session, session.transaction(readonly=True):
            await session.execute(f"SET LOCAL statement_timeout = '{DEEP_S}s'")
            found = await session.fetch(MISCOUNTED, timeout=DEEP_S)
        for row in found:
            detail = f"orders own {row['owned']}, but {row['counted']} are counted"
            report.add(Kind.SOLD_UNITS_DIFFER, row["product"], detail, repaired=False)
