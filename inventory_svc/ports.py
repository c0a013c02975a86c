"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from inventory_svc.generation import Position
from inventory_svc.stock import Basket, Hold, Listing, Product, Receipt, Return, Sale, Stock
from runtime import errors

HoldOutcome = Hold | errors.Error
"""What became of one of several orders."""


@dataclass(frozen=True, slots=True)
class Started:
    """A stock generation, and the units that orders own at the point where it starts, by product."""

    generation: int
    owned: Mapping[str, int]


class Orders(Protocol):
    """What orders own, which is durable when Redis is not; raises `Unavailable` while they can't be asked."""

    async def start_generation(self, *, above: int) -> Started:
        """Start a generation greater than *above*: from now on no order is confirmed on a hold of an older one."""

    async def generation(self) -> int:
        """Return the generation whose holds are accepted."""

    async def owners(self, orders: Sequence[str], *, generation: int) -> set[str]:
        """Return which of at most 500 *orders* own their stock, on a hold of *generation* or a later one."""


class Ledger(Protocol):
    """What came in, durably; raises `Unavailable` while that can't be reached."""

    async def record_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Write that units came in; return once it can't be lost."""


class History(Protocol):
    """What a rebuild reads."""

    async def read(self) -> Sequence[tuple[Listing, int] | Receipt]:
        """Return every usable entry of the ledger in its order, listings with their time in ms; all, or it raises."""

    async def last_position(self) -> Position:
        """Return the last position that the published stock events tell of."""


class Stocks(Protocol):
    """Holds, sales and receipts; raises `Rebuilding` or `Unavailable` while there is no stock to work on."""

    async def hold(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        """Hold each of *baskets*, all its lines or none."""

    async def commit(self, sales: Sequence[Sale], *, owned: bool = False) -> list[HoldOutcome]:
        """Sell what orders hold, and what is not held if it is *owned*."""

    async def release(self, returns: Sequence[Return]) -> list[HoldOutcome]:
        """Give back what orders hold or bought, and refuse their holds from now on."""

    async def reserve(self, receipt: Receipt) -> Stock | None:
        """Bind the request to what it brings; returns the stock just after, if it has come in already."""

    async def receive(self, receipt: Receipt) -> Stock:
        """Add what came in, once for each request; returns the stock just after."""

    async def product(self, name: str) -> Product:
        """Return a product, or raise `UnknownProduct`."""


class Reads(Protocol):
    """What is only looked at."""

    async def holds_of(self, orders: Sequence[str]) -> list[Hold]:
        """Return the holds of those of *orders* that have one, or had one that is remembered."""

    async def open_holds(self, *, cursor: str, limit: int) -> tuple[list[Hold], str]:
        """Return about *limit* open holds, and where to go on, empty at the end; *cursor* "0" at first."""

    async def products(self, *, after: str | None, limit: int) -> list[Product]:
        """Return at most *limit* products by name, those after *after*."""

    async def product(self, name: str) -> Product:
        """Return a product, or raise `UnknownProduct`."""
