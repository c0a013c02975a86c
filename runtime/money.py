"""Exact amounts of money, and the errors of sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import FailedPrecondition

NANOS = 1_000_000_000
MAX_UNITS = 2**63 - 1
"""`google.type.Money.units` is an int64."""


class MixedCurrencies(FailedPrecondition):
    """The products of one order are priced in different currencies."""

    reason = "MIXED_CURRENCIES"

    def __init__(self, currencies: Sequence[str]) -> None:
        names = ", ".join(currencies)
        super().__init__(f"{names} in one order", metadata={"currencies": names})


class TotalTooLarge(FailedPrecondition):
    """The order's total is out of the range of an amount."""

    reason = "TOTAL_TOO_LARGE"

    def __init__(self) -> None:
        super().__init__("the order comes to more than an amount can say")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in billionths of *currency* (ISO 4217), so that sums are exact."""

    currency: str
    nanos: int

    @classmethod
    def of(cls, currency: str, units: int, nanos: int = 0) -> Money:
        """
        Return so many units and billionths.
        """
        return cls(currency, units * NANOS + nanos)

    def __add__(self, other: Money) -> Money:
        """
        Return the sum; raise `MixedCurrencies` if there is none.
        """
        if self.currency != other.currency:
            raise MixedCurrencies([self.currency, other.currency])
        return Money(self.currency, self.nanos + other.nanos)

    def __mul__(self, units: int) -> Money:
        """
        Return the price of *units*.
        """
        return Money(self.currency, self.nanos * units)

    def split(self) -> tuple[int, int]:
        """
        Return units and billionths of the same sign.
        """
        sign = -1 if self.nanos < 0 else 1
        units, nanos = divmod(abs(self.nanos), NANOS)
        return sign * units, sign * nanos
