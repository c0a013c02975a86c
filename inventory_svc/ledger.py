"""
The ledger: what must outlive Redis, in the compacted Kafka topic `stock_ledger`.

Listings and receipts. One partition, so that everybody reads it in one order: of two receipts with one request id the
first wins. A receipt is written here before it is applied; if a replica dies in between, the follower of the ledger
applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError
from shop.inventory.v1.events_pb2 import LedgerEntry, StockEvent

from inventory_svc import wire
from inventory_svc.entries import understood, usable
from inventory_svc.generation import Position
from inventory_svc.stock import Entry, Listing, Receipt
from inventory_svc.topics import LEDGER, STOCK_EVENTS
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.reader import read_to_end

READ_S = 30.0
"""For the whole ledger; an open transaction in it keeps its end from being reached."""
LAST_S = 5.0
LAST_EVENTS = 20
"""Of each partition, of which the highest position is taken; the very last may be another replica's."""


class Ledger:
    """Writes and reads the ledger."""

    def __init__(self, publisher: Publisher, kafka: KafkaCluster, *, now_ms: Callable[[], int]) -> None:
        self._publisher = publisher
        self._kafka = kafka
        self._now_ms = now_ms

    async def record_receipts(self, receipts: Iterable[Receipt]) -> None:
        """
        Write receipts; return once they are durable. `InvalidArgument` for what could not be read back.
        """
        await self._write(wire.receipt_entry(each, self._now_ms()) for each in receipts)

    async def record_listings(self, listings: Iterable[Listing], at_ms: int) -> None:
        """
        Write that products were listed or changed.
        """
        await self._write(wire.listing_entry(each, at_ms) for each in listings)

    async def _write(self, entries: Iterable[LedgerEntry]) -> None:
        await self._publisher.publish([_record(entry) for entry in entries])

    async def read(self) -> list[Entry]:
        """
        Return every usable entry, in the ledger's order; `Unavailable` if its end is not reached.
        """
        messages = await read_to_end(self._kafka, LEDGER.name, within_s=READ_S)
        return [entry for message in messages if (entry := usable(message)) is not None]

    async def last_position(self) -> Position:
        """
        Return the last position of the stock's history in its events; `Position(0)` if none.

        Redis must be there or further.
        """
        messages = await read_to_end(self._kafka, STOCK_EVENTS.name, last=LAST_EVENTS, within_s=LAST_S)
        return max((_position(message.value or b"") for message in messages), default=Position(0))


def _record(entry: LedgerEntry) -> Record:
    # An entry that could not be read back must not be written, least of all acknowledged.
    understood(entry)
    return Record(LEDGER.name, key(entry), entry.SerializeToString(deterministic=True))


def key(entry: LedgerEntry) -> bytes:
    """
    Return the key under which compaction keeps the last of *entry*'s kind.

    Receipts that differ have different keys, whatever their request ids: which one wins is decided by their order, so
    none may be compacted away.
    """
    if entry.HasField("listing"):
        return f"listings/{entry.listing.product.name}".encode()
    receipt = entry.receipt
    return f"receipts/{receipt.product}/{receipt.quantity}/{receipt.request_id}".encode()


def _position(value: bytes) -> Position:
    """
    Return the position of the stock event in *value*; of an invalid one the very first.
    """
    try:
        generation, _, sequence = StockEvent.FromString(value).event_id.partition("-")
        return Position(int(generation), int(sequence))
    except (DecodeError, ValueError):
        return Position(0)
