"""What may not fit together, and what is looked at to find it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import structlog
from prometheus_client import Counter

from orders_svc.order import Order

MOST_TOLD = 1000
REPAIRED = Counter("orders_discrepancies_repaired", "Differences that were repaired.", ["kind"])
log = structlog.get_logger()


class Kind(StrEnum):
    """What may not fit together."""

    ORDER_WITHOUT_HOLD = "ORDER_WITHOUT_HOLD"
    HOLD_NOT_COMMITTED = "HOLD_NOT_COMMITTED"
    HOLD_DIFFERS = "HOLD_DIFFERS"
    HOLD_WITHOUT_ORDER = "HOLD_WITHOUT_ORDER"
    HOLD_NOT_RELEASED = "HOLD_NOT_RELEASED"
    HOLD_NOT_FULFILLED = "HOLD_NOT_FULFILLED"
    ORDER_STUCK_PENDING = "ORDER_STUCK_PENDING"
    EVENT_NOT_SENT = "EVENT_NOT_SENT"
    STOCK_NOT_CONSERVED = "STOCK_NOT_CONSERVED"
    STOCK_DIFFERS = "STOCK_DIFFERS"


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that does not fit together, and whether it was repaired."""

    kind: Kind
    subject: str
    detail: str
    repaired: bool


@dataclass
class Report:
    """What a run compared and met."""

    orders: int = 0
    holds: int = 0
    repaired: int = 0
    unrepaired: int = 0
    discrepancies: list[Discrepancy] = field(default_factory=list)

    def add(self, kind: Kind, subject: str, detail: str, *, repaired: bool) -> None:
        """
        Note a difference; only the first `MOST_TOLD` are told one by one.
        """
        if repaired:
            self.repaired += 1
            REPAIRED.labels(kind).inc()
        else:
            self.unrepaired += 1
        if len(self.discrepancies) < MOST_TOLD:
            self.discrepancies.append(Discrepancy(kind, subject, detail, repaired))
        log.warning("a discrepancy", kind=kind, subject=subject, detail=detail, repaired=repaired)


class HoldState(StrEnum):
    """Where a hold stands."""

    HELD = "HELD"
    COMMITTED = "COMMITTED"
    RELEASED = "RELEASED"


@dataclass(frozen=True, slots=True)
class HoldSeen:
    """A hold as inventory has it: which units of which product."""

    order_id: uuid.UUID
    state: HoldState
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StockSeen:
    """A product's units as inventory has them."""

    product: str
    on_hand: int
    available: int
    held: int
    sold: int


class Stock(Protocol):
    """What the reconciler asks of inventory."""

    async def holds_of(self, order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, HoldSeen]:
        """Return the holds of those of the orders that have one."""

    def all_holds(self) -> AsyncIterator[Sequence[HoldSeen]]:
        """Yield every hold that is held or committed, in pages."""

    async def stock(self) -> list[StockSeen]:
        """Return every product's units."""

    async def take(self, order: Order) -> None:
        """Hold and commit what *order* owns."""

    async def release(self, order_id: uuid.UUID) -> None:
        """Give back what the order holds."""


def judge(stock: StockSeen, owned: Mapping[str, int]) -> tuple[Kind, str] | None:
    """
    Return what is wrong with a product's units; *owned* are those of confirmed and fulfilled orders.
    """
    total = stock.available + stock.held + stock.sold
    if stock.on_hand != total or min(stock.available, stock.held, stock.sold) < 0:
        return Kind.STOCK_NOT_CONSERVED, f"on hand {stock.on_hand}, but {total} available, held and sold"
    units = owned.get(stock.product, 0)
    if not stock.sold <= units <= stock.sold + stock.held:
        return Kind.STOCK_DIFFERS, f"orders own {units}, but {stock.sold} are sold and {stock.held} held"
    return None


def units_of(order: Order) -> dict[str, int]:
    """
    Return the units of each product that *order* wants.
    """
    return {line.product: line.quantity for line in order.lines}
