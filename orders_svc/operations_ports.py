"""The ports of operators' use cases: the backlog, discrepancies, and repairs."""

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
from runtime.messaging.published import Found, Sought


@dataclass(frozen=True, slots=True)
class PendingNow:
    """How many orders are pending, and for how long the oldest."""

    orders: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class WaitingNow:
    """Orders by state, and the backlog: pending orders, outbox rows, and those of them that Kafka refused."""

    states: Mapping[State, int]
    pending: PendingNow
    outbox_rows: int
    outbox_lag_s: float
    refused_rows: int


class Waits(Protocol):
    """The backlog of orders and events; raises `Unavailable` while it can't be read."""

    async def waiting(self) -> WaitingNow:
        """Return the number of orders by state, and the backlog of orders and events."""

    async def pending_now(self) -> PendingNow:
        """Return how many orders are pending, and for how long the oldest."""


class Lags(Protocol):
    """The lag of consumer groups."""

    async def of(self, topics: Mapping[str, str]) -> Mapping[str, int]:
        """Return for each of *topics* how many messages its group, the value, has not committed."""


@dataclass(frozen=True, slots=True)
class UnsentEvent:
    """An unpublished row of the outbox, and why Kafka refused it, if it did."""

    id: int
    topic: str
    key: str
    refused: str | None


@dataclass(frozen=True, slots=True)
class Miscounted:
    """A product whose counted units differ from those of its orders."""

    product: str
    owned: int
    counted: int


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an order as returned to clients, and which replica made it in which trace, as far as is kept."""

    version: int
    snapshot: bytes
    replica: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A request whose response was a version of an order."""

    request_id: str
    version: int
    time: datetime


@dataclass(frozen=True, slots=True)
class Unpublished:
    """An unpublished event of an order, and why Kafka refused it, if it did."""

    topic: str
    time: datetime
    refused: str | None


class Records(Protocol):
    """What is stored of an order; raises `Unavailable` while it can't be read."""

    async def versions(self, order_id: uuid.UUID) -> list[Version]:
        """Return every version of the order, the oldest first; none if there is no such order."""

    async def answered(self, order_id: uuid.UUID, at: Sequence[datetime]) -> list[Answered]:
        """Return the requests about the order that got responses at these times, as long as they are kept."""

    async def unpublished(self, order_id: uuid.UUID) -> list[Unpublished]:
        """Return the order's events that are not published, the oldest first."""


class Holds(Protocol):
    """The state of an order's hold; raises `Unavailable` while it can't be asked."""

    async def state_of_hold(self, order_id: uuid.UUID) -> tuple[str, datetime | None] | None:
        """Return the contract's name of the hold's state, and its expiry; None if there is no hold."""


class Letters(Protocol):
    """Messages in the topics; raises `Unavailable` while they can't be read."""

    async def of(self, topics: Mapping[str, str], key: bytes) -> list[Message]:
        """Return the messages with *key* that the groups, the values of *topics*, have not committed."""


class Published(Protocol):
    """Records in Kafka; raises `Unavailable` while they can't be read."""

    async def find(self, topic: str, key: bytes, sought: Sequence[Sought]) -> Found:
        """Return the records of *key* that are met while those *sought* are looked for, within limits."""


class Positions(Protocol):
    """How far consumer groups are; raises `Unavailable` while Kafka can't be asked."""

    async def positions(self, topics: Mapping[str, str]) -> Mapping[str, Mapping[int, int]]:
        """Return for each of *topics* the first offset that its group, the value, has not committed, by partition."""


class Books(Protocol):
    """The reconciler's access to orders; raises `Unavailable` while they can't be read."""

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
        """Return the existing ones of the orders."""

    async def publish_again(self, order: Order) -> None:
        """Write the order's last change to the outbox again."""

    async def generation(self) -> int:
        """Return the current stock generation."""

    async def sold(self) -> dict[str, int]:
        """Return the units that confirmed and fulfilled orders own, by product, as counted."""

    async def miscounted(self) -> list[Miscounted]:
        """Return products whose count differs from their orders'; this reads every order that is not archived."""


class Stock(Protocol):
    """The reconciler's access to inventory."""

    def open_holds(self) -> AsyncIterator[Sequence[HoldSeen]]:
        """Yield every hold that is neither committed nor released, in pages."""

    async def stock(self) -> list[StockSeen]:
        """Return every product's units."""

    async def commit(self, order_id: uuid.UUID) -> None:
        """Commit the order's hold."""

    async def release(self, order_id: uuid.UUID) -> None:
        """Release the order's hold."""

    async def rebuild(self, generation: int) -> None:
        """Request a rebuild of the stock of *generation* from durable data; it starts soon."""


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """How much is stored about a customer: orders that are open and final, and request ids."""

    open: int
    final: int
    requests: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request of a customer, and the version of an order that it was answered with."""

    request_id: str
    order_id: uuid.UUID
    version: int
    time: datetime


class CustomerRecords(Protocol):
    """Everything that is stored about customers; raises `Unavailable` while it can't be read."""

    async def stored(self, customer: str) -> StoredCounts:
        """Return how much is stored about *customer*."""

    async def open(self, customer: str) -> int:
        """Return how many of the customer's orders are not final."""

    async def orders(self, customer: str, *, before: tuple[datetime, uuid.UUID], limit: int) -> list[Order]:
        """Return at most *limit* of the customer's orders that are older than *before*, newest first."""

    async def customers_of(self, order_ids: Sequence[uuid.UUID]) -> dict[str, uuid.UUID]:
        """Return who placed the orders, each with one of them, without those who are erased."""

    async def versions_of(self, order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Version]]:
        """Return for each of the orders its versions, the first one first."""

    async def requests(self, customer: str, *, after: str, limit: int) -> list[Remembered]:
        """Return at most *limit* of the customer's requests whose ids are above *after*, in the order of their ids."""

    async def erase_orders(self, customer: str, *, at: datetime, limit: int) -> int:
        """
        Give at most *limit* final orders of *customer* to nobody, in one transaction; return how many.

        Orders that another call is erasing are left out. Raises `EventsWaiting`.
        """

    async def erase_requests(self, customer: str, *, limit: int) -> int:
        """Forget at most *limit* requests of *customer*; return how many."""
