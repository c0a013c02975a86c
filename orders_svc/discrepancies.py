"""Kinds of discrepancies, and the data that shows them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import structlog
from prometheus_client import Counter

from orders_svc.order import Order

MAX_REPORTED = 1000
REPAIRED = Counter("orders_discrepancies_repaired", "Differences that were repaired.", ["kind"])
log = structlog.get_logger()


class Kind(StrEnum):
    """Kinds of discrepancies."""

    HOLD_NOT_COMMITTED = "HOLD_NOT_COMMITTED"
    HOLD_DIFFERS = "HOLD_DIFFERS"
    HOLD_NOT_RELEASED = "HOLD_NOT_RELEASED"
    ORDER_STUCK_PENDING = "ORDER_STUCK_PENDING"
    EVENT_NOT_SENT = "EVENT_NOT_SENT"
    STOCK_NOT_CONSERVED = "STOCK_NOT_CONSERVED"
    STOCK_DIFFERS = "STOCK_DIFFERS"
    STOCK_SHORT = "STOCK_SHORT"
    SOLD_UNITS_DIFFER = "SOLD_UNITS_DIFFER"


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A discrepancy, and whether it was repaired."""

    kind: Kind
    subject: str
    detail: str
    repaired: bool


@dataclass
class Report:
    """What a run compared and found."""

    orders: int = 0
    holds: int = 0
    repaired: int = 0
    unrepaired: int = 0
    discrepancies: list[Discrepancy] = field(default_factory=list)

    def add(self, kind: Kind, subject: str, detail: str, *, repaired: bool) -> None:
        """
        Add a discrepancy; only the first `MAX_REPORTED` are listed.
        """
        if repaired:
            self.repaired += 1
            REPAIRED.labels(kind).inc()
        else:
            self.unrepaired += 1
        if len(self.discrepancies) < MAX_REPORTED:
            self.discrepancies.append(Discrepancy(kind, subject, detail, repaired))
        log.warning("discrepancy", kind=kind, subject=subject, detail=detail, repaired=repaired)


@dataclass(frozen=True, slots=True)
class HoldSeen:
    """An open hold in inventory: of which stock generation, which units of which product."""

    order_id: uuid.UUID
    generation: int
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StockSeen:
    """A product's units in inventory."""

    product: str
    on_hand: int
    available: int
    held: int
    sold: int


def judge(stock: StockSeen, before: Mapping[str, int], after: Mapping[str, int]) -> tuple[Kind, str] | None:
    """
    Return what is wrong with a product's units.

    *before* and *after* are the units that confirmed and fulfilled orders owned before and after the stock was read:
    it may show anything between.
    """
    total = stock.available + stock.held + stock.sold
    if stock.on_hand != total or min(stock.available, stock.held, stock.sold) < 0:
        return Kind.STOCK_NOT_CONSERVED, f"on hand {stock.on_hand}, but {total} available, held and sold"
    least, most = sorted((before.get(stock.product, 0), after.get(stock.product, 0)))
    if least > stock.on_hand:
        return Kind.STOCK_SHORT, f"orders own {least}, but {stock.on_hand} came in"
    if not (stock.sold <= most and least <= stock.sold + stock.held):
        return Kind.STOCK_DIFFERS, f"orders own {most}, but {stock.sold} are sold and {stock.held} held"
    return None


def units_of(order: Order) -> dict[str, int]:
    """
    Return the units of each product in *order*.
    """
    return {line.product: line.quantity for line in order.lines}
