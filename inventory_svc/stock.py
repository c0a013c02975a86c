"""
Products, their stock, holds, and the errors of these.

Units are conserved: for every product and at every moment, `on_hand` = `available` + `held` + `sold`, and none is
below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runtime import errors
from runtime.money import Money

MAX_LINES = 100
"""Lines of one basket, as in the contract."""
MAX_PRODUCTS = 10_000
"""Of the shop; a rebuild enters the sold units of all of them in one step."""
JUST_NOW_MS = 2**53
"""For what is known to be so at this moment."""


@dataclass(frozen=True, slots=True)
class Line:
    """Units of one product; the price is known once they are held."""

    product: str
    quantity: int
    unit_price: Money | None = None


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines of an order, each product at most once; *order* is the order's UUID, and its hold's."""

    order: str
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.lines) <= MAX_LINES:
            raise errors.InvalidArgument(
                f"a basket has 1 to {MAX_LINES} lines, not {len(self.lines)}",
                fields=[errors.FieldViolation("lines", f"1 to {MAX_LINES} are allowed")],
            )
        seen: set[str] = set()
        for index, line in enumerate(self.lines):
            _check_line(index, line, seen)
            seen.add(line.product)


def _check_line(index: int, line: Line, seen: set[str]) -> None:
    if line.quantity < 1:
        field, problem = f"lines[{index}].quantity", f"must be 1 or more, not {line.quantity}"
    elif line.product in seen:
        field, problem = f"lines[{index}].product", f"products/{line.product} is on an earlier line already"
    else:
        return
    raise errors.InvalidArgument(f"{field}: {problem}", fields=[errors.FieldViolation(field, problem)])


class State(StrEnum):
    """The state of a hold: HELD -> COMMITTED or RELEASED."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Hold:
    """
    The units held for one order.

    Released after *expire_ms* (by Redis's clock, since 1970) unless committed before; None if it does not expire. A
    *late* one was committed after its lease had ended. Of final ones the lines are not kept.
    """

    order: str
    lines: tuple[Line, ...]
    state: State
    generation: int
    expire_ms: int | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Stock:
    """
    Units of a product.

    *short* are units that confirmed orders own beyond the existing ones; it is zero unless a lease ended while its
    order was being confirmed.
    """

    on_hand: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0
    short: int = 0

    def adds_up(self) -> bool:
        """Return whether units are conserved."""
        parts = (self.available, self.held, self.sold)
        return min(*parts, self.short) >= 0 and self.on_hand == sum(parts)


@dataclass(frozen=True, slots=True)
class Listing:
    """A product without its stock; a LOW event is sent at *low_stock* available units or fewer."""

    product: str
    display_name: str
    description: str
    unit_price: Money
    low_stock: int


@dataclass(frozen=True, slots=True)
class Product:
    """A product with its stock."""

    listing: Listing
    stock: Stock


@dataclass(frozen=True, slots=True)
class Receipt:
    """Received units; *request* is the caller and their request id, which is applied once."""

    request: str
    product: str
    quantity: int


Entry = tuple[Listing, int] | Receipt
"""What the ledger says: a listing with the time in ms from which it counts, or what came in."""


@dataclass(frozen=True, slots=True)
class Sale:
    """
    The units of a confirmed order, and the generation of the hold that it was confirmed on (0: not known).

    It was confirmed at *at_ms*, or, if it is only *handed_over* now, not before that.
    """

    order: str
    lines: tuple[Line, ...]
    generation: int = 0
    at_ms: int = JUST_NOW_MS
    handed_over: bool = False


@dataclass(frozen=True, slots=True)
class Return:
    """
    What a cancelled or rejected order releases.

    *generation* is the one in which it released its units, 0 if it never had any; *held_in* that of the hold that it
    was confirmed on, 0 if that is not known.
    """

    order: str
    lines: tuple[Line, ...] = ()
    generation: int = 0
    held_in: int = 0
    at_ms: int = JUST_NOW_MS
    created_ms: int = 0
