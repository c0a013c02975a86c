"""
What the shop sells, what is set aside for whom, and the errors of both.

Units are conserved: for every product and at every moment, `on_hand` =
`available` + `held` + `sold`, and none is below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from runtime import errors
from runtime.money import Money

MAX_LINES = 100
"""Lines of one basket, as the contract has it."""
MAX_PRODUCTS = 10_000
"""Of the shop; a rebuild enters what was sold of all of them in one step."""
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
    """What an order wants, each product at most once; *order* is the order's UUID, and its hold's."""

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
    """Where a hold stands: HELD -> COMMITTED or RELEASED."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Hold:
    """
    Stock set aside for one order.

    It is given back after *expire_ms* (by Redis's clock, since 1970) unless it is
    committed before; None where it does not expire. A *late* one was committed
    after its lease had ended. Of final ones the lines are not kept.
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

    *short* are units that confirmed orders own beyond what was there; it is zero
    unless a lease ended while its order was being confirmed.
    """

    on_hand: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0
    short: int = 0

    def adds_up(self) -> bool:
        """Whether units are conserved."""
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
    """Units that came in; *request* is who asked and their request id, and brings them once."""

    request: str
    product: str
    quantity: int


Entry = tuple[Listing, int] | Receipt
"""What the ledger says: a listing with the time in ms from which it counts, or what came in."""


@dataclass(frozen=True, slots=True)
class Sale:
    """
    What a confirmed order owns, and the generation of the hold that it was confirmed on (0: not known).

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
    What an order gives back that is cancelled or rejected.

    *generation* is the one in which it gave its units back, 0 if it never had any;
    *held_in* that of the hold that it was confirmed on, 0 if that is not known.
    """

    order: str
    lines: tuple[Line, ...] = ()
    generation: int = 0
    held_in: int = 0
    at_ms: int = JUST_NOW_MS
    created_ms: int = 0


class OutOfStock(errors.FailedPrecondition):
    """Some lines exceed what is available; nothing is held."""

    reason = "OUT_OF_STOCK"

    def __init__(self, order: str, missing: Sequence[tuple[Line, int]]) -> None:
        """*missing* are the lines with the units that were available."""
        names = ", ".join(f"products/{line.product}" for line, _ in missing)
        super().__init__(
            f"not enough stock of {names}",
            metadata={"order": f"orders/{order}", "products": names},
            violations=[
                errors.Violation(
                    self.reason, f"products/{line.product}", f"{line.quantity} wanted, {available} available"
                )
                for line, available in missing
            ],
        )


class UnknownProducts(errors.InvalidArgument):
    """Some lines name products that the shop does not have."""

    reason = "UNKNOWN_PRODUCT"

    def __init__(self, lines: Sequence[tuple[int, str]]) -> None:
        """*lines* are the lines' indices with the products they name."""
        names = ", ".join(f"products/{product}" for _, product in lines)
        super().__init__(
            f"no such product: {names}",
            metadata={"products": names},
            fields=[
                errors.FieldViolation(f"lines[{index}].product", f"products/{product} does not exist")
                for index, product in lines
            ],
        )


class UnknownProduct(errors.NotFound):
    """The product that was asked for is not there."""

    reason = "UNKNOWN_PRODUCT"

    def __init__(self, product: str) -> None:
        super().__init__(f"products/{product} does not exist", metadata={"product": f"products/{product}"})


class HoldError(errors.FailedPrecondition):
    """A hold stands where the call is not possible."""

    def __init__(self, order: str, problem: str) -> None:
        super().__init__(f"holds/{order} {problem}", metadata={"hold": f"holds/{order}"})


class HoldMismatch(HoldError):
    """The order has a hold already, of other lines."""

    reason = "HOLD_MISMATCH"


class HoldReleased(HoldError):
    """The order's hold was given back for good."""

    reason = "HOLD_RELEASED"


class HoldCommitted(HoldError):
    """The order is sold: only its own cancellation gives that back."""

    reason = "HOLD_COMMITTED"


class HoldSettled(HoldError):
    """What became of the order was so before the stock was rebuilt, and the rebuild took it into projection."""

    reason = "HOLD_SETTLED"


class NoSuchGeneration(HoldError):
    """The orders never started the generation that an event names, and do not own what it says."""

    reason = "NO_SUCH_GENERATION"


class Ahead(HoldError):
    """What became of the order was in a generation that is not in Redis: ask the orders whether there is one."""

    reason = "GENERATION_AHEAD"


class Undecided(HoldError):
    """Whether an event took effect already has been forgotten: only a new generation settles it."""

    reason = "HOLD_FORGOTTEN"


class HoldGone(errors.NotFound):
    """No such hold: it never was, or its lease has ended."""

    reason = "HOLD_GONE"

    def __init__(self, order: str) -> None:
        super().__init__(f"holds/{order} does not exist", metadata={"hold": f"holds/{order}"})


class TooManyProducts(errors.FailedPrecondition):
    """The shop cannot have more products."""

    reason = "TOO_MANY_PRODUCTS"

    def __init__(self, product: str) -> None:
        super().__init__(f"products/{product} is one more than the {MAX_PRODUCTS} that there may be")


class Rebuilding(errors.Unavailable):
    """The stock is being rebuilt from what is durable."""

    reason = "STOCK_REBUILDING"

    def __init__(self) -> None:
        super().__init__("the stock is being rebuilt", retry_after_s=1)


class BacklogFull(errors.Unavailable):
    """Too many stock events wait for Kafka, so that no further stock is set aside."""

    reason = "STOCK_EVENTS_BACKLOG"

    def __init__(self) -> None:
        super().__init__("too many stock events wait for Kafka", retry_after_s=5)
