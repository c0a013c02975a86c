"""The ports of the use cases, and their data."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orders_svc.order import Change, Draft, Hold, Line, Order, State
from runtime.errors import FailedPrecondition, Internal, InvalidArgument, NotFound

REFUSALS = (FailedPrecondition, InvalidArgument, NotFound)
"""Inventory's rejection of a basket; any other error only means that it can't be asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    The request that a request id identifies.

    `order_id` is given where the id follows from the request, so that an order is found also when its key is pruned.
    """

    customer: str
    request_id: str
    fingerprint: bytes
    order_id: uuid.UUID | None = None

    @classmethod
    def of(cls, draft: Draft) -> Request:
        """
        Return the request of *draft*.
        """
        return cls(draft.customer, draft.request_id, draft.fingerprint, draft.order_id)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller receives: the order's serialized message, and whether this is a replay."""

    snapshot: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored response, and its request."""

    fingerprint: bytes
    answer: Answer


@dataclass(frozen=True, slots=True)
class Placement:
    """A new order with its request, and when its hold expires."""

    order: Order
    request: Request
    lease: datetime | None = None


class Stale(Exception):
    """The order, or the generation that gets its units back, has changed since it was read; nothing was stored."""


class Fenced(Exception):
    """The hold is invalid: its lease ended, or the stock was rebuilt; nothing was stored."""


class KeyTaken(Exception):
    """The request id has a response already; nothing was stored."""

    def __init__(self, stored: Stored) -> None:
        super().__init__("the request id has an answer already")
        self.stored = stored


class Unstorable(Internal):
    """The order can never be stored, and nothing was."""


class Orders(Protocol):
    """The store of orders; raises `Unavailable` while it can't be reached."""

    async def find_answer(self, request: Request) -> Stored | None:
        """Return the stored response of the request's id."""

    async def place(self, placement: Placement) -> Answer:
        """Store a new order and its response; raises `KeyTaken`, `Fenced` or `Unstorable`."""

    async def get(self, order_id: uuid.UUID) -> Order | None:
        """Return the current order."""

    async def generation(self) -> int:
        """Return the current stock generation."""

    async def save(self, change: Change, request: Request | None = None, lease: datetime | None = None) -> Answer:
        """
        Store a transition of an order; raises `Stale`, `Fenced` or `KeyTaken`.

        *lease* is the expiry of the hold that it is confirmed on.
        """


class Inventory(Protocol):
    """Holds units of stock."""

    async def hold(self, order_id: uuid.UUID, lines: Sequence[Line]) -> Hold:
        """
        Hold the whole basket or nothing; a retry returns the same hold.

        Raises `FailedPrecondition` or `InvalidArgument` when inventory rejects it, of which `IdempotencyKeyReused` is
        for an id that holds other lines, and `Unavailable` when inventory can't be asked.
        """

    async def release(self, order_id: uuid.UUID) -> None:
        """Release the hold of an order that will not be stored; raises `Unavailable` if inventory does not answer."""


class WaitedFor(Inventory, Protocol):
    """Inventory, and whether it is available."""

    def answered_within(self, seconds: float) -> bool:
        """Return whether inventory has responded to anything in the last *seconds*."""


class Lists(Protocol):
    """The orders to list."""

    async def list(
        self, *, customer: str | None, states: Sequence[State], before: tuple[datetime, uuid.UUID], limit: int
    ) -> list[Order]:
        """
        Return at most *limit* orders that are older than *before*, newest first.

        With *customer* None, of everybody, without those that are archived.
        """


class History(Protocol):
    """The versions of orders."""

    async def history(self, since: Mapping[uuid.UUID, int]) -> list[tuple[uuid.UUID, int, bytes]]:
        """Return for each order its versions from the given one on."""


class ChangeLine(Protocol):
    """A listening connection."""

    async def probe(self) -> None:
        """Check that notifications can still arrive."""


class Changes(Protocol):
    """Notifications of changed orders."""

    def listen(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[ChangeLine]:
        """Call *heard* with the ids of changed orders, comma-separated, while inside; `Unavailable` when it ends."""


@dataclass(frozen=True, slots=True)
class Started:
    """A stock generation, and the units that orders own at the point where it starts, by product."""

    generation: int
    sold: Mapping[str, int]


class Allocations(Protocol):
    """The units that orders own."""

    async def start_generation(self, *, above: int = 0) -> Started:
        """Start a generation greater than *above* and all before."""

    async def generation(self) -> int:
        """Return the generation whose holds are accepted."""

    async def owners(self, order_ids: Sequence[uuid.UUID], *, generation: int = 0) -> list[uuid.UUID]:
        """Return which of the orders are confirmed or fulfilled, on a hold of *generation* or a later one."""
