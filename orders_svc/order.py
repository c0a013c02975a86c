"""
An order: its states and transitions, and its errors.

Only the standard library and our errors; nothing here knows gRPC or PostgreSQL.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from orders_svc.refusals import IllegalTransition, OrderChanged
from runtime.money import MAX_UNITS, NANOS, Money, TotalTooLarge

# Never change it: the order of a retried request is found through it.
NAMESPACE = uuid.UUID("6f0c7a52-93d1-5d0e-8d0b-0c3f5be2a1f4")
# The customer of orders whose customer was erased. No token's subject can be it, since none begins with a space (see
# `runtime.caller`); one for all, so that nobody can tell which of these orders had the same customer.
ERASED = " erased"
INVENTORY_UNAVAILABLE = "INVENTORY_UNAVAILABLE"
HOLD_LAPSED = "HOLD_LAPSED"


class State(StrEnum):
    """The state of an order."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    FULFILLED = "FULFILLED"


NEXT = {
    State.PENDING: {State.CONFIRMED, State.REJECTED, State.CANCELLED},
    State.CONFIRMED: {State.CANCELLED, State.FULFILLED},
}


@dataclass(frozen=True, slots=True)
class Line:
    """One product, `products/{product}`, and how many; priced once its stock is held."""

    product: str
    quantity: int
    unit_price: Money | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Units that inventory holds: of which generation, at which prices, until when."""

    generation: int
    prices: Mapping[str, Money]
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a customer asks for."""

    customer: str
    request_id: str
    lines: tuple[Line, ...]

    @property
    def name(self) -> str:
        """Return the resource name that the order will have."""
        return f"orders/{self.order_id}"

    @property
    def order_id(self) -> uuid.UUID:
        """Return the order's id: the same for every retry of the request."""
        return uuid.uuid5(NAMESPACE, f"{self.customer}\n{self.request_id}")

    @property
    def fingerprint(self) -> bytes:
        """Return what a retry must have in common with the first request."""
        return fingerprint("CreateOrder", *basket(self.lines))


@dataclass(frozen=True, slots=True)
class Order:
    """An order at one version; transitions return the next version."""

    id: uuid.UUID
    customer: str
    lines: tuple[Line, ...]
    state: State
    create_time: datetime
    update_time: datetime
    state_reason: str = ""
    total: Money | None = None
    version: int = 1
    generation: int = 0

    @classmethod
    def pending(cls, draft: Draft, at: datetime, reason: str = INVENTORY_UNAVAILABLE) -> Order:
        """
        Return a new order without a hold.
        """
        return cls(draft.order_id, draft.customer, draft.lines, State.PENDING, at, at, reason)

    @classmethod
    def confirmed(cls, draft: Draft, hold: Hold, at: datetime) -> Order:
        """
        Return a new order with a hold.
        """
        order = cls(draft.order_id, draft.customer, draft.lines, State.CONFIRMED, at, at)
        return order._priced(hold)

    @property
    def name(self) -> str:
        """Return the resource name."""
        return f"orders/{self.id}"

    @property
    def final(self) -> bool:
        """Return whether no further change is possible."""
        return self.state not in NEXT

    @property
    def etag(self) -> str:
        """Differs whenever the order does, in the form of an HTTP entity tag."""
        digest = hashlib.sha256(f"{self.id}/{self.version}".encode()).hexdigest()[:16]
        return f'"{digest}"'

    def confirm(self, hold: Hold, at: datetime) -> Order:
        """
        Return the confirmed order with its hold.
        """
        return self._move(State.CONFIRMED, at)._priced(hold)

    def reject(self, reason: str, at: datetime) -> Order:
        """
        Return the order rejected because of *reason*.
        """
        return self._move(State.REJECTED, at, reason)

    def cancel(self, at: datetime, generation: int = 0) -> Order:
        """
        Return the cancelled order; *generation* is that of the stock to which a confirmed order's units are released.
        """
        cancelled = self._move(State.CANCELLED, at)
        return replace(cancelled, generation=generation) if self.state is State.CONFIRMED else cancelled

    def fulfil(self, at: datetime) -> Order:
        """
        Return the fulfilled order.
        """
        return self._move(State.FULFILLED, at)

    def _move(self, state: State, at: datetime, reason: str = "") -> Order:
        if state not in NEXT.get(self.state, ()):
            raise IllegalTransition(
                f"{self.name} is {self.state} and cannot become {state}",
                metadata={"order": self.name, "state": self.state, "wanted": state},
            )
        later = max(at, self.update_time)
        return replace(self, state=state, state_reason=reason, version=self.version + 1, update_time=later)

    def _priced(self, hold: Hold) -> Order:
        lines = tuple(replace(line, unit_price=hold.prices[line.product]) for line in self.lines)
        return replace(self, lines=lines, total=total(lines), generation=hold.generation)


@dataclass(frozen=True, slots=True)
class Change:
    """A transition of an order; `before` is None for a new one."""

    before: Order | None
    after: Order

    @property
    def moves_units(self) -> bool:
        """Return whether it changes which units orders own, so that the stock generation must not change meanwhile."""
        was_confirmed = self.before is not None and self.before.state is State.CONFIRMED
        return self.after.state is State.CONFIRMED or (was_confirmed and self.after.state is State.CANCELLED)


def total(lines: Sequence[Line]) -> Money:
    """
    Return the sum of priced *lines*; `MixedCurrencies` or `TotalTooLarge` if there is none.
    """
    amounts = [line.unit_price * line.quantity for line in lines if line.unit_price is not None]
    result = amounts[0]
    for amount in amounts[1:]:
        result += amount
    if result.nanos >= (MAX_UNITS + 1) * NANOS:
        raise TotalTooLarge
    return result


def basket(lines: Sequence[Line]) -> list[str]:
    """
    Return the basket in a form that does not depend on the order of the lines.
    """
    return sorted(f"{line.product}={line.quantity}" for line in lines)


def fingerprint(*parts: str) -> bytes:
    """
    Return a digest that two requests share only if they are the same.
    """
    return hashlib.sha256("\n".join(parts).encode()).digest()


def require_etag(order: Order, etag: str) -> None:
    """
    Raise `OrderChanged` unless *etag* is empty or the order's.
    """
    if etag and etag.removeprefix("W/") != order.etag:
        raise OrderChanged(f"{order.name} is not the version with etag {etag}", metadata={"order": order.name})
