"""A stock in memory that implements the ports, as the suite in `stock_port_suite` verifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inventory_svc.ports import Audit, HoldOutcome, Leased, Reads, Stocks, Supplied
from inventory_svc.refusals import (
    Ahead,
    HoldCommitted,
    HoldGone,
    HoldMismatch,
    HoldReleased,
    HoldSettled,
    OutOfStock,
    Undecided,
    UnknownProduct,
    UnknownProducts,
)
from inventory_svc.stock import Basket, Hold, Line, Listing, Product, Receipt, Return, Sale, State, Stock
from runtime.errors import Error
from runtime.money import MAX_UNITS, NANOS, MixedCurrencies, TotalTooLarge
from runtime.refusals import IdempotencyKeyReused


@dataclass
class Shelf:
    """A product with its changing numbers."""

    listing: Listing
    listed_ms: int
    stock: Stock = field(default_factory=Stock)

    def move(self, **changes: int) -> None:
        """
        Add to the numbers.
        """
        self.stock = replace(self.stock, **{name: getattr(self.stock, name) + by for name, by in changes.items()})

    def make_available(self, units: int) -> None:
        """
        Add available units; missing ones are filled first.
        """
        owed = min(self.stock.short, units)
        self.move(short=-owed, sold=owed, available=units - owed)


class FakeStock:
    """Holds, commits, receipts and products of one *generation*; *now_ms* is set by the test. Nothing is pruned."""

    def __init__(self, *, generation: int = 1, lease_ms: int = 60_000, grace_ms: int = 0) -> None:
        self.generation = generation
        self.now_ms = 1_000_000
        self._lease_ms = lease_ms
        self._grace_ms = grace_ms
        self._shelves: dict[str, Shelf] = {}
        self._holds: dict[str, Hold] = {}
        self._claimed_until: dict[str, int] = {}
        self._final: dict[str, State] = {}
        self._receipts: dict[str, tuple[Receipt, Stock | None]] = {}

    async def hold(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        return [self._hold(basket) for basket in baskets]

    def _hold(self, basket: Basket) -> HoldOutcome:
        state = self._final.get(basket.order)
        if state is State.RELEASED:
            return HoldReleased(basket.order, "was given back")
        if state is State.COMMITTED:
            sold = Hold(basket.order, self._priced(basket.lines), State.COMMITTED, self.generation)
            return self._unknown(basket) or sold
        present = self._holds.get(basket.order)
        if present is not None and _quantities(present.lines) != _quantities(basket.lines):
            return HoldMismatch(basket.order, "is of other lines")
        if present is None:
            if refusal := self._unknown(basket) or self._without_total(basket) or self._missing(basket):
                return refusal
            for line in basket.lines:
                self._shelves[line.product].move(available=-line.quantity, held=line.quantity)
        lines = self._priced(basket.lines) if present is None else present.lines
        held = Hold(basket.order, lines, State.HELD, self.generation, self.now_ms + self._lease_ms)
        self._holds[basket.order] = held
        self._claimed_until.pop(basket.order, None)
        return held

    def _unknown(self, basket: Basket) -> Error | None:
        lines = [(index, each.product) for index, each in enumerate(basket.lines) if each.product not in self._shelves]
        return UnknownProducts(lines) if lines else None

    def _without_total(self, basket: Basket) -> Error | None:
        prices = [self._shelves[line.product].listing.unit_price for line in basket.lines]
        currencies = [*dict.fromkeys(price.currency for price in prices)]
        if len(currencies) > 1:
            return MixedCurrencies(currencies)
        total = sum(price.nanos * line.quantity for price, line in zip(prices, basket.lines, strict=True))
        return TotalTooLarge() if total >= (MAX_UNITS + 1) * NANOS else None

    def _missing(self, basket: Basket) -> Error | None:
        available = [(line, self._shelves[line.product].stock.available) for line in basket.lines]
        missing = [(line, units) for line, units in available if units < line.quantity]
        return OutOfStock(basket.order, missing) if missing else None

    def _priced(self, lines: Sequence[Line]) -> tuple[Line, ...]:
        known = self._shelves
        return tuple(
            replace(line, unit_price=known[line.product].listing.unit_price) if line.product in known else line
            for line in lines
        )

    async def commit(self, sales: Sequence[Sale], *, owned: bool = False) -> list[HoldOutcome]:
        return [self._commit(sale, owned) for sale in sales]

    def _commit(self, sale: Sale, owned: bool) -> HoldOutcome:
        if sale.generation > self.generation:
            return Ahead(sale.order, f"is of generation {sale.generation}, which is not here")
        state = self._final.get(sale.order)
        if state is State.COMMITTED:
            return Hold(sale.order, (), State.COMMITTED, self.generation)
        if 0 < sale.generation < self.generation:
            return HoldSettled(sale.order, "was settled when the stock was rebuilt")
        if state is State.RELEASED:
            return HoldReleased(sale.order, "was given back")
        if hold := self._holds.pop(sale.order, None):
            for line in hold.lines:
                self._shelves[line.product].move(held=-line.quantity, sold=line.quantity)
            self._final[sale.order] = State.COMMITTED
            return replace(hold, state=State.COMMITTED, expire_ms=None)
        if not owned or not sale.lines:
            return HoldGone(sale.order)
        return self._sell_late(sale)

    def _sell_late(self, sale: Sale) -> HoldOutcome:
        for line in sale.lines:
            if line.product not in self._shelves:
                return UnknownProduct(line.product)
        for line in sale.lines:
            shelf = self._shelves[line.product]
            there = min(shelf.stock.available, line.quantity)
            shelf.move(available=-there, sold=there, short=line.quantity - there)
        self._final[sale.order] = State.COMMITTED
        return Hold(sale.order, sale.lines, State.COMMITTED, self.generation, late=True)

    async def release(self, returns: Sequence[Return]) -> list[HoldOutcome]:
        return [self._release(back) for back in returns]

    def _release(self, back: Return) -> HoldOutcome:
        if back.generation > self.generation:
            return Ahead(back.order, f"is of generation {back.generation}, which is not here")
        state, hold = self._final.get(back.order), self._holds.get(back.order)
        if state is State.RELEASED:
            return self._released(back)
        if back.generation == self.generation:
            if hold is not None:
                self._give_back_hold(hold)
                if back.held_in in (0, self.generation):
                    return self._released(back)
            if state is None and back.held_in == self.generation:
                # Its commit would be remembered: there was none.
                return self._released(back)
            return self._give_back_sold(back)
        if hold is not None:
            self._give_back_hold(hold)
            return self._released(back)
        if state is State.COMMITTED:
            return HoldCommitted(back.order, "is sold")
        released = self._released(back)
        return HoldSettled(back.order, "was settled when the stock was rebuilt") if back.generation else released

    def _released(self, back: Return) -> Hold:
        self._final[back.order] = State.RELEASED
        return Hold(back.order, (), State.RELEASED, self.generation)

    def _give_back_hold(self, hold: Hold) -> None:
        del self._holds[hold.order]
        for line in hold.lines:
            self._shelves[line.product].move(held=-line.quantity)
            self._shelves[line.product].make_available(line.quantity)

    def _give_back_sold(self, back: Return) -> HoldOutcome:
        for line in back.lines:
            if line.product not in self._shelves:
                return UnknownProduct(line.product)
        stocks = [(self._shelves[line.product].stock, line.quantity) for line in back.lines]
        if any(stock.sold + stock.short < units for stock, units in stocks):
            return Undecided(back.order, "may be settled already, which is forgotten")
        for line in back.lines:
            self._shelves[line.product].move(sold=-line.quantity)
            self._shelves[line.product].make_available(line.quantity)
        return self._released(back)

    async def claim_expired(self, *, claim_ms: int) -> list[str]:
        due = [order for order in self._holds if self._ended(order) and self._claim_ends(order) <= self.now_ms]
        self._claimed_until |= dict.fromkeys(due, self.now_ms + claim_ms)
        return due

    def _claim_ends(self, order: str) -> int:
        return self._claimed_until.get(order, 0)

    def _ended(self, order: str) -> bool:
        return (self._holds[order].expire_ms or 0) + self._grace_ms <= self.now_ms

    async def expire(self, orders: Sequence[str]) -> int:
        ended = [order for order in orders if order in self._holds and self._ended(order)]
        for order in ended:
            self._give_back_hold(self._holds[order])
        return len(ended)

    async def holds_of(self, orders: Sequence[str]) -> list[Hold]:
        found = [self._holds.get(order) or self._remembered(order) for order in orders]
        return [hold for hold in found if hold is not None]

    def _remembered(self, order: str) -> Hold | None:
        state = self._final.get(order)
        return None if state is None else Hold(order, (), state, self.generation)

    async def open_holds(self, *, cursor: str, limit: int) -> tuple[list[Hold], str]:
        start = int(cursor)
        page = [*self._holds.values()][start : start + limit]
        after = start + len(page)
        return page, str(after) if after < len(self._holds) else ""

    async def reserve(self, receipt: Receipt) -> Stock | None:
        present, came_in = self._receipt(receipt)
        self._receipts[receipt.request] = present, came_in
        return came_in

    async def receive(self, receipt: Receipt) -> Stock:
        present, came_in = self._receipt(receipt)
        if came_in is not None:
            return came_in
        shelf = self._shelves[receipt.product]
        shelf.move(on_hand=receipt.quantity)
        shelf.make_available(receipt.quantity)
        self._receipts[receipt.request] = present, replace(shelf.stock, short=0)
        return replace(shelf.stock, short=0)

    def _receipt(self, receipt: Receipt) -> tuple[Receipt, Stock | None]:
        if receipt.product not in self._shelves:
            raise UnknownProduct(receipt.product)
        present, came_in = self._receipts.get(receipt.request, (receipt, None))
        if present != receipt:
            raise IdempotencyKeyReused.of(receipt.request.rpartition(" ")[2])
        return present, came_in

    async def list_product(self, listing: Listing, listed_ms: int) -> None:
        shelf = self._shelves.setdefault(listing.product, Shelf(listing, listed_ms))
        if shelf.listed_ms <= listed_ms:
            shelf.listing, shelf.listed_ms = listing, listed_ms

    async def products(self, *, after: str | None, limit: int) -> list[Product]:
        names = sorted(name for name in self._shelves if after is None or name > after)
        return [await self.product(name) for name in names[:limit]]

    async def product(self, name: str) -> Product:
        if name not in self._shelves:
            raise UnknownProduct(name)
        return Product(self._shelves[name].listing, self._shelves[name].stock)

    async def audit(self) -> Audit:
        shelves = self._shelves
        return Audit(
            broken=tuple(name for name, shelf in shelves.items() if not shelf.stock.adds_up()),
            low=sum(shelf.stock.available <= shelf.listing.low_stock for shelf in shelves.values()),
            short=sum(shelf.stock.short for shelf in shelves.values()),
        )


def _quantities(lines: Sequence[Line]) -> dict[str, int]:
    return {line.product: line.quantity for line in lines}


if TYPE_CHECKING:
    _STOCK: tuple[Stocks, Reads, Leased, Supplied] = (FakeStock(), FakeStock(), FakeStock(), FakeStock())
