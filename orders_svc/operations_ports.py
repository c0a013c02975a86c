"""What operators' use cases need from outside: what waits, what differs, and what can be done about it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orders_svc.discrepancies import HoldSeen, StockSeen
from orders_svc.order import Order, State
from runtime.messaging.message import Message


@dataclass(frozen=True, slots=True)
class PendingNow:
    """How many orders are pending, and how long the oldest of them has been."""

    orders: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class WaitingNow:
    """Orders by state, and what waits: pending orders, rows of the outbox, those of them that Kafka refused."""

    states: Mapping[State, int]
    pending: PendingNow
    outbox_rows: int
    outbox_lag_s: float
    refused_rows: int


class Waits(Protocol):
    """Where orders and events wait; raises `Unavailable` while that cannot be reached."""

    async def waiting(self) -> WaitingNow:
        """Return how many orders are in each state, and what waits of orders and events."""

    async def pending_now(self) -> PendingNow:
        """Return how many orders are pending, and how long the oldest of them has been."""


class Lags(Protocol):
    """How far consumer groups are behind."""

    async def of(self, topics: Mapping[str, str]) -> Mapping[str, int]:
        """Return for each of *topics* how many messages its group, the value, has not acknowledged."""


@dataclass(frozen=True, slots=True)
class UnsentEvent:
    """A row of the outbox that is not published, and why Kafka refused it, if it did."""

    id: int
    topic: str
    key: str
    refused: str | None


@dataclass(frozen=True, slots=True)
class Miscounted:
    """A product of which orders own other units than are counted."""

    product: str
    owned: int
    counted: int


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an order as clients were told it, and which replica made it in which trace, as far as is kept."""

    version: int
    snapshot: bytes
    replica: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered with a version of an order."""

    request_id: str
    version: int
    time: datetime


@dataclass(frozen=True, slots=True)
class Unpublished:
    """An event of an order that is not published, and why Kafka refused it, if it did."""

    topic: str
    time: datetime
    refused: str | None


class Records(Protocol):
    """What is kept of an order; raises `Unavailable` while that cannot be reached."""

    async def versions(self, order_id: uuid.UUID) -> list[Version]:
        """Return every version of the order, the oldest first; none if there is no such order."""

    async def answered(self, order_id: uuid.UUID, at: Sequence[datetime]) -> list[Answered]:
        """Return the requests about the order that were answered at these times, as long as they are kept."""

    async def unpublished(self, order_id: uuid.UUID) -> list[Unpublished]:
        """Return the order's events that are not published, the oldest first."""


class Holds(Protocol):
    """Who knows of an order's hold; raises `Unavailable` while that cannot be asked."""

    async def state_of_hold(self, order_id: uuid.UUID) -> tuple[str, datetime | None] | None:
        """Return the contract's word for where the hold stands, and when it ends; None if there is none."""


class Letters(Protocol):
    """Where messages wait to be worked on; raises `Unavailable` while that cannot be asked."""

    async def of(self, topics: Mapping[str, str], key: bytes) -> list[Message]:
        """Return the messages with *key* that the groups, the values of *topics*, have not acknowledged."""


class Books(Protocol):
    """What the reconciler reads and repairs of orders; raises `Unavailable` while that cannot be reached."""

    def alone(self) -> AbstractAsyncContextManager[bool]:
        """Yield whether no other replica is inside, and keep others out if so."""

    async def unsent(self, before: datetime, *, limit: int) -> list[UnsentEvent]:
        """Return events that Kafka refused, or that were written *before* and are not published."""

    async def still_unsent(self, ids: Sequence[int]) -> set[int]:
        """Return which of the events are not published yet."""

    async def redrive_rows(self) -> int:
        """Publish outbox rows that Kafka refused again; return how many."""

    async def wake_relays(self) -> None:
        """Wake the relays."""

    async def stuck(self, before: datetime, *, limit: int) -> list[Order]:
        """Return orders that have been pending since *before*, the oldest first."""

    async def orders(self, order_ids: Sequence[uuid.UUID]) -> list[Order]:
        """Return those of the orders that there are."""

    async def publish_again(self, order: Order) -> None:
        """Write the order's last change to the outbox again."""

    async def generation(self) -> int:
        """Return the stock generation that counts now."""

    async def sold(self) -> dict[str, int]:
        """Return the units that confirmed and fulfilled orders own, by product, as they are counted."""

    async def miscounted(self) -> list[Miscounted]:
        """Return products whose count is not what the orders come to; this reads every order."""


class Stock(Protocol):
    """What the reconciler asks of inventory."""

    def open_holds(self) -> AsyncIterator[Sequence[HoldSeen]]:
        """Yield every hold that is neither committed nor released, in pages."""

    async def stock(self) -> list[StockSeen]:
        """Return every product's units."""

    async def commit(self, order_id: uuid.UUID) -> None:
        """Sell what the order holds."""

    async def release(self, order_id: uuid.UUID) -> None:
        """Release the order's hold."""

    async def rebuild(self, generation: int) -> None:
        """Request a rebuild of the stock of *generation* from durable data; it starts soon."""
