"""
Compares orders, holds, events and stock; repairs what a crash left behind and reports the rest.

PostgreSQL is the source of truth for orders; inventory follows. Changes within the last *settle_s* may still be
propagating and are ignored. Inventory keeps no record of single sales, so sales are compared as sums; a stock with a
lasting difference is rebuilt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from orders_svc.discrepancies import MAX_REPORTED, HoldSeen, Kind, Report, judge, units_of
from orders_svc.operations_ports import Books, Stock
from orders_svc.order import Order, State
from orders_svc.ports import Fenced, Stale
from runtime.clock import now
from runtime.errors import Error

LOOKS = 8
"""How often a difference must be seen, with a pause between: under load some change is always in flight."""
REBUILD_LOOKS = 30
"""How often the generation of a requested rebuild is looked for."""
LEFT = Gauge("orders_discrepancies", "Differences that the last reconciliation left.", ["kind"])
RUN_AT = Gauge("orders_reconciled_timestamp_seconds", "When the last reconciliation ended.")
log = structlog.get_logger()

Wrong = Mapping[str, tuple[Kind, str]]


class Reconciler:
    """
    Compares and repairs; *finish* brings a pending order to an end.

    With *only_look* nothing is repaired.
    """

    def __init__(
        self,
        books: Books,
        stock: Stock,
        finish: Callable[[Order], Awaitable[None]],
        *,
        settle_s: float = 30,
        stuck_s: float = 600,
        pause_s: float = 1,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._books = books
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
        Run once unless another replica does.
        """
        async with self._books.alone() as alone:
            if alone:
                await self.run()

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
        Outbox rows that Kafka refused, or that have been unpublished for long.
        """
        found = await self._books.unsent(self._before(self._settle_s), limit=MAX_REPORTED)
        if not found:
            return
        if repair:
            await self._books.redrive_rows()
            await self._books.wake_relays()
        left = await self._left([event.id for event in found])
        for event in found:
            detail = f"{event.topic} of {event.key}: {event.refused or 'not published'}"
            report.add(Kind.EVENT_NOT_SENT, f"outbox/{event.id}", detail, repaired=event.id not in left)

    async def _left(self, ids: Sequence[int]) -> set[int]:
        """
        Return which rows are still there after the relays had time for them.
        """
        left = set(ids)
        for _ in range(LOOKS):
            await asyncio.sleep(self._pause_s)
            left = await self._books.still_unsent(sorted(left))
            if not left:
                break
        return left

    async def _pending(self, report: Report, repair: bool) -> None:
        """
        Orders pending for much longer than the saga takes while inventory is available.
        """
        for order in await self._books.stuck(self._before(self._stuck_s), limit=MAX_REPORTED):
            done = repair and await self._tried(self._finish(order))
            detail = f"has been waiting since {order.create_time.isoformat()}: {order.state_reason}"
            report.add(Kind.ORDER_STUCK_PENDING, order.name, detail, repaired=done)

    async def _tried(self, work: Awaitable[None]) -> bool:
        """
        Return whether *work* succeeded; `Unavailable` is logged, since the next run repeats it.
        """
        try:
            await work
        except (Error, Stale, Fenced) as error:
            log.info("repair_failed", error=str(error) or type(error).__name__)
            return False
        return True

    async def _holds(self, report: Report, repair: bool) -> None:
        """
        Every open hold must belong to an order that is under way, or its lease ends it.
        """
        settled = self._before(self._settle_s)
        async for page in self._stock.open_holds():
            found = await self._books.orders([hold.order_id for hold in page])
            orders = {order.id: order for order in found if order.update_time < settled}
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
        # A hold of another generation is a duplicate that no order owns: its lease ends it.
        elif order.state is State.PENDING or hold.generation != order.generation:
            return
        elif hold.units != units_of(order):
            report.add(Kind.HOLD_DIFFERS, order.name, f"holds {dict(hold.units)}", repaired=False)
        else:
            done = repair and await self._tried(self._sell(order))
            report.add(Kind.HOLD_NOT_COMMITTED, order.name, "it is confirmed, its hold is not sold", repaired=done)

    async def _sell(self, order: Order) -> None:
        await self._stock.commit(order.id)
        await self._books.publish_again(order)

    async def _give_back(self, order: Order) -> None:
        await self._stock.release(order.id)
        # The event of the cancellation may never have been published.
        await self._books.publish_again(order)

    async def _units(self, report: Report, repair: bool) -> None:
        """
        For every product: on hand = available + held + sold, and units that orders own are sold or held.
        """
        generation = await self._books.generation()
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
            if await self._books.generation() > generation:
                return

    async def _lasting_differences(self) -> Wrong:
        """
        Return what is wrong with products in every look.
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
        before = await self._books.sold()
        stock = await self._stock.stock()
        after = await self._books.sold()
        return {each.product: difference for each in stock if (difference := judge(each, before, after))}

    async def _count(self, report: Report) -> None:
        """
        The counted sold units are those of all confirmed and fulfilled orders.
        """
        for each in await self._books.miscounted():
            detail = f"orders own {each.owned}, but {each.counted} are counted"
            report.add(Kind.SOLD_UNITS_DIFFER, each.product, detail, repaired=False)
