"""Fakes of inventory's ports to orders and Kafka, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from inventory_svc import wire
from inventory_svc.entries import usable
from inventory_svc.generation import Position
from inventory_svc.ports import History, Ledger, Orders, Started
from inventory_svc.stock import Entry, Listing, Receipt, Sale
from runtime import errors
from runtime.messaging.dead_lettering import Publishes
from runtime.messaging.message import Message, Record

Hook = Callable[[], Awaitable[None]]
Refusal = errors.Unavailable | errors.InvalidArgument


class FakeOrders:
    """The orders' table: confirmed and fulfilled orders."""

    def __init__(self) -> None:
        self.present = 0
        self.confirmed: dict[str, Sale] = {}
        self.fulfilled: dict[str, Sale] = {}
        self.down = False
        self.before_start: Hook | None = None

    async def start_generation(self, *, above: int) -> Started:
        self._answer()
        if self.before_start:
            await self.before_start()
        self.present = max(self.present, above) + 1
        return Started(self.present, self.owned())

    async def generation(self) -> int:
        self._answer()
        return self.present

    async def owners(self, orders: Sequence[str], *, generation: int) -> set[str]:
        self._answer()
        owned = {**self.confirmed, **self.fulfilled}
        return {order for order in orders if order in owned and owned[order].generation >= generation}

    def owned(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for sale in [*self.confirmed.values(), *self.fulfilled.values()]:
            for line in sale.lines:
                total[line.product] += line.quantity
        return total

    def _answer(self) -> None:
        if self.down:
            raise errors.Unavailable("orders do not answer")


class FakeLedger:
    """The ledger's topic as a list."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.published = Position(0)
        self.down = False
        self.before_end: Hook | None = None

    async def record_receipts(self, receipts: Iterable[Receipt]) -> None:
        self._answer()
        for each in receipts:
            self.append(wire.receipt_entry(each, 1).SerializeToString())

    async def record_listings(self, listings: Iterable[Listing], at_ms: int) -> None:
        self._answer()
        for each in listings:
            self.append(wire.listing_entry(each, at_ms).SerializeToString())

    def append(self, value: bytes) -> None:
        self.messages.append(Message("stock_ledger", 0, len(self.messages), b"", value, {}, 0))

    async def read(self) -> list[Entry]:
        self._answer()
        read = [entry for each in list(self.messages) if (entry := usable(each)) is not None]
        if self.before_end:
            await self.before_end()
        return read

    async def last_position(self) -> Position:
        self._answer()
        return self.published

    def _answer(self) -> None:
        if self.down:
            raise errors.Unavailable("Kafka does not answer")


class FakePublisher:
    """Kafka as a list; *refuses* returns the error of a record."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.refuses: Callable[[Record], Refusal | None] = lambda record: None

    async def publish_each(self, records: Sequence[Record]) -> list[Refusal | None]:
        outcomes = [self.refuses(record) for record in records]
        self.records += [record for record, outcome in zip(records, outcomes, strict=True) if outcome is None]
        return outcomes

    async def publish(self, records: Sequence[Record]) -> None:
        for outcome in await self.publish_each(records):
            if outcome is not None:
                raise outcome


if TYPE_CHECKING:
    _ORDERS: Orders = FakeOrders()
    _LEDGER: tuple[Ledger, History] = (FakeLedger(), FakeLedger())
    _PUBLISHER: Publishes = FakePublisher()
