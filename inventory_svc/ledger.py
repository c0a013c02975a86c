"""
The ledger: what must outlive Redis, in the compacted Kafka topic `stock_ledger`.

Listings, receipts, and the generations that rebuilds started. One partition, so
that everybody reads it in one order: of two receipts with one request id the
first counts. A receipt is written here before it takes effect, and what was
written but not applied, since a replica died between, is applied by whoever
follows the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from google.protobuf.message import DecodeError
from shop.inventory.v1.events_pb2 import LedgerEntry, StockEvent

from inventory_svc import translate
from inventory_svc.scripts import Position
from inventory_svc.stock import Listing, Receipt
from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.reader import read_to_end
from runtime.messaging.topics import Topic

TOPIC = Topic("stock_ledger", partitions=1, compacted=True)
EVENTS_TOPIC = Topic("stock_events")
log = structlog.get_logger()


class Ledger:
    """Writes and reads the ledger."""

    def __init__(self, publisher: Publisher, brokers: str, *, now_ms: Callable[[], int]) -> None:
        self._publisher = publisher
        self._brokers = brokers
        self._now_ms = now_ms

    async def record_receipts(self, receipts: Iterable[Receipt]) -> None:
        """
        Write that units came in; return once it can't be lost.
        """
        await self._write(translate.receipt_entry(each, self._now_ms()) for each in receipts)

    async def record_listings(self, listings: Iterable[Listing], at_ms: int) -> None:
        """
        Write that products were listed or changed.
        """
        await self._write(translate.listing_entry(each, at_ms) for each in listings)

    async def record_rebuild(self, generation: int) -> None:
        """
        Write that *generation* began, so that an older Redis is known as such.
        """
        entry = LedgerEntry(occur_time=translate.timestamp(self._now_ms()))
        entry.rebuild.generation = generation
        await self._write([entry])

    async def _write(self, entries: Iterable[LedgerEntry]) -> None:
        await self._publisher.publish(
            [Record(TOPIC.name, key(entry), entry.SerializeToString(deterministic=True)) for entry in entries]
        )

    async def read(self, *, limit_s: float = 60) -> list[LedgerEntry]:
        """
        Return everything that is in the ledger, in its order.
        """
        messages = await read_to_end(self._brokers, TOPIC.name, within_s=limit_s)
        return [entry for message in messages if (entry := decode(message.value or b"")) is not None]

    async def last_position(self, *, limit_s: float = 5) -> Position:
        """
        Return the last position of the stock's history that Kafka tells of; `Position(0)` if none.

        Redis must be there or further.
        """
        generations = [entry.rebuild.generation for entry in await self.read(limit_s=limit_s)]
        messages = await read_to_end(self._brokers, EVENTS_TOPIC.name, last=1, within_s=limit_s)
        told = [_position(message.value or b"") for message in messages]
        return max([Position(max(generations, default=0)), *told])


def key(entry: LedgerEntry) -> bytes:
    """
    Return the key under which compaction keeps the last of *entry*'s kind.

    Receipts that differ have different keys, whatever their request ids: which one
    counts is decided by their order, so none may go.
    """
    if entry.HasField("listing"):
        return f"listings/{entry.listing.product.name}".encode()
    if entry.HasField("rebuild"):
        return b"rebuild"
    receipt = entry.receipt
    return f"receipts/{receipt.product}/{receipt.quantity}/{receipt.request_id}".encode()


def decode(value: bytes) -> LedgerEntry | None:
    """
    Return the entry in *value*, or None if there is none: it is logged and passed over.
    """
    try:
        entry = LedgerEntry.FromString(value)
    except DecodeError:
        entry = LedgerEntry()
    if entry.WhichOneof("entry") is None:
        log.error("the ledger has a record that is no entry", size=len(value))
        return None
    return entry


def _position(value: bytes) -> Position:
    """
    Return the position of the stock event in *value*; what is none counts as the very first.
    """
    try:
        generation, _, sequence = StockEvent.FromString(value).event_id.partition("-")
        return Position(int(generation), int(sequence))
    except (DecodeError, ValueError):
        return Position(0)
