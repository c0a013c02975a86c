"""The domain errors of inventory."""

from __future__ import annotations

from collections.abc import Sequence

from inventory_svc.stock import MAX_PRODUCTS, Line
from runtime import errors


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
    """The requested product does not exist."""

    reason = "UNKNOWN_PRODUCT"

    def __init__(self, product: str) -> None:
        super().__init__(f"products/{product} does not exist", metadata={"product": f"products/{product}"})


class HoldError(errors.FailedPrecondition):
    """The state of the hold does not allow the call."""

    def __init__(self, order: str, problem: str) -> None:
        super().__init__(f"holds/{order} {problem}", metadata={"hold": f"holds/{order}"})


class HoldMismatch(HoldError):
    """The order has a hold already, of other lines."""

    reason = "HOLD_MISMATCH"


class HoldReleased(HoldError):
    """The order's hold was released for good."""

    reason = "HOLD_RELEASED"


class HoldCommitted(HoldError):
    """The order is sold: only its own cancellation releases that."""

    reason = "HOLD_COMMITTED"


class HoldSettled(HoldError):
    """The order's outcome was known before the stock was rebuilt, and is included in it."""

    reason = "HOLD_SETTLED"


class NoSuchGeneration(HoldError):
    """The orders never started the generation that an event names, and do not own what it says."""

    reason = "NO_SUCH_GENERATION"


class Ahead(HoldError):
    """The order's outcome belongs to a generation that is not in Redis: ask the orders whether there is one."""

    reason = "GENERATION_AHEAD"


class Undecided(HoldError):
    """Whether an event was applied has been pruned: only a new generation decides it."""

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
    """Too many stock events wait for Kafka, so that nothing more is held."""

    reason = "STOCK_EVENTS_BACKLOG"

    def __init__(self) -> None:
        super().__init__("too many stock events wait for Kafka", retry_after_s=5)
