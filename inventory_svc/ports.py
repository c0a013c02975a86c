"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from inventory_svc.generation import Position
from inventory_svc.projection import StockProjection
from inventory_svc.stock import Basket, Entry, Hold, Listing, Product, Receipt, Return, Sale, Stock
from inventory_svc.verdict import Found
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

    async def read(self) -> Sequence[Entry]:
        """Return every usable entry of the ledger in its order, listings with their time in ms; all, or it raises."""

    async def last_position(self) -> Position:
        """Return the last position in the published stock events."""


class Stocks(Protocol):
    """Holds, sales and receipts; raises `Rebuilding` or `Unavailable` while there is no stock to work on."""

    async def hold(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        """Hold each of *baskets*: all its lines or none."""

    async def commit(self, sales: Sequence[Sale], *, owned: bool = False) -> list[HoldOutcome]:
        """Sell what orders hold, and what is not held if it is *owned*."""

    async def release(self, returns: Sequence[Return]) -> list[HoldOutcome]:
        """Release what orders hold or bought, and refuse later holds of theirs."""

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


@dataclass(frozen=True, slots=True)
class Audit:
    """Products that do not add up, how many are low, and units that confirmed orders own but are not there."""

    broken: tuple[str, ...]
    low: int
    short: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Final orders that were forgotten, those that are remembered, and whether there is more to forget."""

    forgotten: int
    remembered: int
    more: bool


class Audited(Protocol):
    """A stock that can be checked, and whose final orders can be forgotten."""

    async def audit(self) -> Audit:
        """Check that units are conserved for every product."""

    async def forget(self) -> Memory:
        """Forget some of the final orders that are old enough, or too many."""


class Leased(Protocol):
    """Holds whose leases end."""

    async def claim_expired(self, *, claim_ms: int) -> list[str]:
        """Return orders whose holds' leases have ended; for *claim_ms* no other call returns them."""

    async def commit(self, sales: Sequence[Sale]) -> list[HoldOutcome]:
        """Sell what orders hold."""

    async def expire(self, orders: Sequence[str]) -> int:
        """Release the holds of those of *orders* whose lease has ended; returns how many."""


class Supplied(Protocol):
    """A stock that what is in the ledger takes effect on."""

    async def receive(self, receipt: Receipt) -> Stock:
        """Add what came in, once for each request; returns the stock just after."""

    async def list_product(self, listing: Listing, listed_ms: int) -> None:
        """List a product, or change its listing unless a later one is there."""


class RebuildLock(Protocol):
    """The right to replace the stock, which ends by itself if it is not renewed."""

    @property
    def token(self) -> str:
        """Return what shows that the lock is ours."""

    async def acquire(self) -> bool:
        """Return whether it is ours now; raises `Unavailable`."""

    async def renew(self) -> bool:
        """Keep it; False if it is ours no more. Raises `Unavailable`."""

    async def release(self) -> None:
        """Release it at once, if that is possible."""


class StockData(Protocol):
    """What there is of a stock, whether or not it may be served."""

    async def find(self) -> Found:
        """Return which stock is there; raises `Unavailable`."""

    def rebuild_lock(self) -> RebuildLock:
        """Return the lock of rebuilds, not acquired."""


class StagedStock(Protocol):
    """A stock beside the present one, which does not count yet; raises `Unavailable`."""

    async def write(self, projection: StockProjection) -> None:
        """Write the products with what came in, and the receipts, which must not come in again."""

    async def activate(self, projection: StockProjection, started: Started, token: str) -> bool:
        """Activate it as generation *started*; False if another replica was faster, or *token* lost the lock."""

    async def remove(self) -> None:
        """Remove what was written, unless it counts by now."""

    async def sweep(self, token: str) -> int:
        """Remove every stock that does not count, if the lock has *token*; returns the number of keys removed."""
