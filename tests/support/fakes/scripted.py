"""A stock, a ledger and orders that return what a test sets, and record their calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from inventory_svc.ports import HoldOutcome, Leased, Ledger, Orders, Started, Stocks
from inventory_svc.refusals import Ahead, HoldGone, HoldReleased, Undecided
from inventory_svc.stock import Basket, Hold, Listing, Product, Receipt, Return, Sale, State, Stock
from runtime.errors import Unavailable
from runtime.money import Money

GENERATION = 6
LISTING = Listing("mug", "Mug", "", Money.of("EUR", 1), 0)


class ScriptedStock:
    """The stock of generation 6; the sets name orders with such an outcome."""

    def __init__(self) -> None:
        self.scripts_run = 0
        self.refused: set[str] = set()
        self.gone: set[str] = set()
        self.ahead: set[str] = set()
        self.undecided: set[str] = set()
        self.done: list[str] = []
        self.sold: list[tuple[str, int, bool]] = []
        self.returned: list[Return] = []
        self.before: Stock | None = None

    async def hold(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        self.scripts_run += 1
        await asyncio.sleep(0.01)
        return [self._held(basket) for basket in baskets]

    def _held(self, basket: Basket) -> HoldOutcome:
        if basket.order in self.refused:
            return HoldReleased(basket.order, "was given back")
        return Hold(basket.order, basket.lines, State.HELD, GENERATION, 1)

    async def commit(self, sales: Sequence[Sale], *, owned: bool = False) -> list[HoldOutcome]:
        self.sold += [(sale.order, sale.generation, owned) for sale in sales]
        return [self._committed(sale, owned) for sale in sales]

    def _committed(self, sale: Sale, owned: bool) -> HoldOutcome:
        if sale.order in self.undecided:
            return Undecided(sale.order, "is forgotten")
        if sale.order in self.ahead and sale.generation > GENERATION:
            return Ahead(sale.order, "is ahead")
        if sale.order in self.gone and not owned:
            return HoldGone(sale.order)
        return Hold(sale.order, sale.lines, State.COMMITTED, GENERATION, late=owned)

    async def release(self, returns: Sequence[Return]) -> list[HoldOutcome]:
        self.returned += returns
        return [
            Ahead(back.order, "is ahead")
            if back.generation > GENERATION
            else Hold(back.order, (), State.RELEASED, GENERATION)
            for back in returns
        ]

    async def reserve(self, receipt: Receipt) -> Stock | None:
        self.done.append("reserved")
        return self.before

    async def receive(self, receipt: Receipt) -> Stock:
        self.done.append("received")
        return Stock(15, 15)

    async def product(self, name: str) -> Product:
        return Product(LISTING, Stock(99, 99))


class DueHolds:
    """Holds of which those in *due* have expired."""

    def __init__(self, due: Sequence[str]) -> None:
        self.due = list(due)
        self.sold: list[Sale] = []
        self.expired: list[str] = []

    async def claim_expired(self, *, claim_ms: int) -> list[str]:
        return self.due

    async def commit(self, sales: Sequence[Sale]) -> list[HoldOutcome]:
        self.sold += sales
        return [Hold(sale.order, sale.lines, State.COMMITTED, sale.generation) for sale in sales]

    async def expire(self, orders: Sequence[str]) -> int:
        self.expired += orders
        return len(orders)


class ScriptedLedger:
    """Records in *done* that a receipt was written."""

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.down = False

    async def record_receipts(self, receipts: Iterable[Receipt]) -> None:
        if self.down:
            raise Unavailable("Kafka does not answer")
        self.done.append("recorded")


class ScriptedOrders:
    """*known* own their units on a hold of the current generation, *before* on an older one."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.before: set[str] = set()
        self.owner_queries: list[tuple[list[str], int]] = []
        self.present = GENERATION
        self.down = False

    async def owners(self, orders: Sequence[str], *, generation: int) -> set[str]:
        self.owner_queries.append((list(orders), generation))
        if self.down:
            raise Unavailable("orders do not answer")
        return self.known if generation else self.known | self.before

    async def generation(self) -> int:
        return self.present

    async def start_generation(self, *, above: int) -> Started:
        self.present = max(self.present, above) + 1
        return Started(self.present, {})


if TYPE_CHECKING:
    _STOCK: Stocks = ScriptedStock()
    _DUE: Leased = DueHolds(())
    _LEDGER: Ledger = ScriptedLedger([])
    _ORDERS: Orders = ScriptedOrders()
