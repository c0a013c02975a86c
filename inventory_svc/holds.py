"""The use cases: hold, commit, release, restock, browse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import Counter

from inventory_svc.ledger import Ledger
from inventory_svc.orders import Orders
from inventory_svc.stock import Basket, Hold, HoldGone, Product, Receipt, Sale, Stock
from inventory_svc.store import HoldOutcome, Store
from runtime import errors
from runtime.batching import Gatherer

HOLDS = Counter("inventory_holds", "Baskets that were to be held, by what became of them.", ["outcome"])
LATE = Counter("inventory_late_commits", "Orders whose stock was sold after their lease had ended; alert on any.")
MOST_TOGETHER = 128
"""Baskets that arrive at the same time and go to Redis in one script."""


@dataclass(frozen=True, slots=True)
class Restocked:
    """A product after units came in; *repeated* if the request had brought them before."""

    product: Product
    repeated: bool


class Inventory:
    """What can be asked of the stock."""

    def __init__(self, store: Store, ledger: Ledger, orders: Orders) -> None:
        self._store = store
        self._ledger = ledger
        self._orders = orders
        self._together: Gatherer[Basket, Hold] = Gatherer(self.hold_all, batch_limit=MOST_TOGETHER)

    async def hold(self, basket: Basket) -> Hold:
        """
        Hold all of *basket* or nothing; with others that arrive at the same time.
        """
        return await self._together.submit(basket)

    async def hold_all(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        """
        Hold each of *baskets*, all its lines or none; an outcome for each.
        """
        outcomes = await self._store.hold(baskets)
        for outcome in outcomes:
            HOLDS.labels(outcome.reason if isinstance(outcome, errors.Error) else "HELD").inc()
        return outcomes

    async def commit(self, order: str) -> Hold:
        """
        Turn the hold of *order* into a sale.
        """
        (outcome,) = await self.commit_all([Sale(order, ())])
        return _hold(outcome)

    async def commit_all(self, sales: Sequence[Sale]) -> list[HoldOutcome]:
        """
        Sell what orders hold that were confirmed; an outcome for each.

        Of those whose hold is gone the orders are asked: what an order owns is sold
        all the same, and `HoldGone` remains for who was called off since.
        """
        outcomes = await self._store.commit(sales)
        for index, late in (await self._commit_late(sales, outcomes)).items():
            outcomes[index] = late
        return outcomes

    async def _commit_late(self, sales: Sequence[Sale], outcomes: Sequence[HoldOutcome]) -> dict[int, HoldOutcome]:
        gone = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, HoldGone)]
        if not gone:
            return {}
        generation = self._store.scripts.generation
        owners = await self._orders.owners([sales[index].order for index in gone], generation=generation)
        owned = [index for index in gone if sales[index].order in owners]
        late = await self._store.commit([sales[index] for index in owned], owned=True)
        LATE.inc(sum(isinstance(outcome, Hold) and outcome.late for outcome in late))
        return dict(zip(owned, late, strict=True))

    async def release(self, order: str) -> Hold:
        """
        Give back what *order* holds or bought.
        """
        (outcome,) = await self._store.release([order])
        return _hold(outcome)

    async def release_all(self, orders: Sequence[str]) -> list[HoldOutcome]:
        """
        Give back what *orders* hold or bought; an outcome for each.
        """
        return await self._store.release(orders)

    async def fulfil_all(self, orders: Sequence[str]) -> None:
        """
        Note that *orders* were handed over.
        """
        await self._store.fulfil(orders)

    async def holds_of(self, orders: Sequence[str]) -> list[Hold]:
        """
        Return the holds of those of *orders* that have one.
        """
        return await self._store.holds_of(orders)

    async def live_holds(self, *, cursor: str, most: int) -> tuple[list[Hold], str]:
        """
        Return about *most* holds that are held or sold, and where to go on, empty at the end; *cursor* "0" at first.
        """
        return await self._store.live_holds(cursor=cursor, most=most)

    async def product(self, name: str) -> Product:
        """
        Return a product with its stock.
        """
        return await self._store.product(name)

    async def products(self, *, after: str | None, most: int) -> list[Product]:
        """
        Return at most *most* products by name, those after *after*.
        """
        return await self._store.products(after=after, most=most)

    async def restock(self, receipt: Receipt) -> Restocked:
        """
        Add units: first bind the request id to them, then make them durable, then let them count.

        A repeat goes the same way and changes nothing. If this ends between, whoever
        follows the ledger finishes it.
        """
        before = await self._store.reserve(receipt)
        if before is not None:
            return Restocked(await self._with_stock(receipt.product, before), repeated=True)
        await self._ledger.record_receipts([receipt])
        after = await self._store.receive(receipt)
        return Restocked(await self._with_stock(receipt.product, after), repeated=False)

    async def _with_stock(self, name: str, stock: Stock) -> Product:
        product = await self._store.product(name)
        return Product(product.listing, stock)


def _hold(outcome: HoldOutcome) -> Hold:
    if isinstance(outcome, errors.Error):
        raise outcome
    return outcome
