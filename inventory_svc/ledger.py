"""
The ledger: what must outlive Redis, in the compacted Kafka topic `stock_ledger`.

Listings, receipts, and the generations that rebuilds started. One partition, so
that everybody reads it in one order: of two receipts with one request id the
first counts. A receipt is written here before it takes effect, and what was
written but not applied, since a replica died between, is applied by whoever
follows the ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import confluent_kafka
import structlog
import tenacity
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from google.protobuf.message import DecodeError
from shop.inventory.v1.events_pb2 import LedgerEntry, StockEvent

from inventory_svc import translate
from inventory_svc.scripts import Position
from inventory_svc.stock import Listing, Receipt
from runtime import errors
from runtime.kafka import Publisher, Record, Topic

TOPIC = Topic("stock_ledger", partitions=1, compacted=True)
EVENTS_TOPIC = Topic("stock_events")
MOST_ENTRIES = 5_000_000
"""Entries that a rebuild reads at most; beyond it, memory would be at risk."""
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
        values = await asyncio.to_thread(_read, self._brokers, TOPIC.name, None, limit_s)
        return [entry for value in values if (entry := decode(value)) is not None]

    async def last_position(self, *, limit_s: float = 5) -> Position:
        """
        Return the last position of the stock's history that Kafka tells of; `Position(0)` if none.

        Redis must be there or further.
        """
        generations = [entry.rebuild.generation for entry in await self.read(limit_s=limit_s)]
        values = await asyncio.to_thread(_read, self._brokers, EVENTS_TOPIC.name, 1, limit_s)
        return max([Position(max(generations, default=0)), *map(_position, values)])


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


def _read(brokers: str, topic: str, last: int | None, limit_s: float) -> list[bytes]:
    """
    Return the values of *topic*, all or the *last* of each partition; `Unavailable` after *limit_s*.
    """
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "inventory-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            # The end of a partition is told after this time without news.
            "fetch.wait.max.ms": 50,
            "log_level": 3,
        }
    )
    end = time.monotonic() + limit_s
    # A partition may have no leader for a moment, when its topic is new or a broker left.
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(KafkaException),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
        stop=tenacity.stop_after_delay(limit_s),
        reraise=True,
    )
    try:
        return retrying(_read_with, consumer, topic, last, end)
    except KafkaException as error:
        raise _unavailable(topic, str(error.args[0])) from error
    finally:
        consumer.close()


def _read_with(consumer: confluent_kafka.Consumer, topic: str, last: int | None, end: float) -> list[bytes]:
    starts = _starts(consumer, topic, last, end)
    consumer.assign(starts)
    values: list[bytes] = []
    left = {start.partition for start in starts}
    while left:
        if time.monotonic() > end:
            raise _unavailable(topic, "its end was not reached in time")
        for message in consumer.consume(1000, 0.2):
            error = message.error()
            if error is None:
                values.append(message.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            elif not error.retriable():
                raise KafkaException(error)
        if len(values) > MOST_ENTRIES:
            raise errors.Internal(f"{topic} has more than {MOST_ENTRIES} records")
    return values


def _starts(consumer: confluent_kafka.Consumer, topic: str, last: int | None, end: float) -> list[TopicPartition]:
    patience = max(0.1, end - time.monotonic())
    found = consumer.list_topics(topic, timeout=patience).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    starts: Sequence[TopicPartition] = [TopicPartition(topic, each) for each in found.partitions]
    for start in starts:
        low, high = consumer.get_watermark_offsets(start, timeout=patience)
        start.offset = low if last is None else max(low, high - last)
    return list(starts)


def _unavailable(topic: str, problem: str) -> errors.Unavailable:
    return errors.Unavailable(
        f"{topic} cannot be read: {problem}", reason="KAFKA_UNAVAILABLE", metadata={"topic": topic}, retry_after_s=1
    )
