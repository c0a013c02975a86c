"""Finds the records of a key in a topic near the times at which they were written to the outbox."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from runtime.messaging import reader
from runtime.messaging.cluster import KafkaCluster, Options
from runtime.messaging.errors import retrying, unavailable
from runtime.messaging.message import Message, message_of

MAX_RECORDS = 10_000
"""The most records that are read in search of one."""
MAX_BYTES = 16 * 1024 * 1024
"""The most bytes of keys and values that are read in one call."""
READ_S = 2.5
SKEW_S = 5.0
"""How far the clock of who published may be behind that of who wrote the row."""
CALL_S = 2.0
MIN_CALL_S = 0.1
BATCH = 500
OPTIONS: Options = reader.OPTIONS | {
    # A search often ends after a few records, so little is fetched in advance.
    "max.partition.fetch.bytes": 256 * 1024,
    "queued.max.messages.kbytes": 1024,
}


@dataclass(frozen=True)
class Sought:
    """A record that was written to the outbox at *time*, and how to tell it from others of its key."""

    time: datetime
    is_it: Callable[[Message], bool]


@dataclass(frozen=True)
class Found:
    """The records found, in the order of their offsets; *limited* if a limit ended the search for one of the others."""

    messages: Sequence[Message]
    limited: bool = False


NOTHING = Found(())


class PublishedMessages:
    """
    Searches topics by time and key; joins no group.

    Only the key's partition is read. A record is not found if the number of partitions has changed since.
    """

    def __init__(self, kafka: KafkaCluster) -> None:
        self._kafka = kafka

    async def find(self, topic: str, key: bytes, sought: Sequence[Sought]) -> Found:
        """
        Return the records of *key* that are met while those *sought* are looked for, repeats among them.

        Each is looked for from its time on, up to `MAX_RECORDS`; the whole search ends after `MAX_BYTES` or `READ_S`.
        What Kafka has deleted, and a topic that does not exist, is absent. Raises `Unavailable` while Kafka can't be
        asked.
        """
        return await asyncio.to_thread(self._find, topic, key, sought)

    def _find(self, topic: str, key: bytes, sought: Sequence[Sought]) -> Found:
        end_at = time.monotonic() + READ_S
        consumer = Consumer(self._kafka.options(OPTIONS))
        try:
            partitions = _partitions(consumer, topic)
            if not partitions:
                return NOTHING
            return _Search(consumer, topic, key, partition_of(key, partitions), end_at).run(sought)
        except KafkaException as error:
            raise unavailable(error) from error
        finally:
            consumer.close()


def partition_of(key: bytes, partitions: int) -> int:
    """
    Return the partition in which librdkafka's default partitioner (`consistent_random`) puts *key*, if not empty.
    """
    return zlib.crc32(key) % partitions


def _partitions(consumer: Consumer, topic: str) -> int:
    found = consumer.list_topics(topic, timeout=CALL_S).topics[topic]
    if found.error is None:
        return len(found.partitions)
    if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return 0
    raise KafkaException(found.error)


class _Search:
    """A search in one partition: forward only, so that no record is read twice."""

    def __init__(self, consumer: Consumer, topic: str, key: bytes, partition: int, end_at: float) -> None:
        self._consumer = consumer
        self._place = topic, partition
        self._key = key
        self._end_at = end_at
        self._next = 0
        self._bytes_left = MAX_BYTES
        self._found: list[Message] = []
        self._limited = False

    def run(self, sought: Sequence[Sought]) -> Found:
        for each in sorted(sought, key=lambda one: one.time):
            if any(map(each.is_it, self._found)):
                continue
            if self._spent():
                self._limited = True
                break
            low, start = retrying(self._left_s())(self._start, each.time)
            if start < 0:
                # Everything there is older, and what is looked for next is younger still.
                break
            # What may have been deleted is not missing because of a limit.
            self._limited |= not self._look(start, each) and not 0 < low >= start
        return Found(tuple(self._found), self._limited)

    def _start(self, moment: datetime) -> tuple[int, int]:
        """
        Return the first offset that is there, and that of the first record since *moment*, below 0 if there is none.
        """
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(*self._place), timeout=self._call_s())
        at_ms = max(0, int((moment.timestamp() - SKEW_S) * 1000))
        [found] = self._consumer.offsets_for_times([TopicPartition(*self._place, at_ms)], timeout=self._call_s())
        if found.error is not None:
            raise KafkaException(found.error)
        return low, found.offset

    def _look(self, start: int, sought: Sought) -> bool:
        """
        Read until *sought* is met or nothing is left; return False if a limit came first.
        """
        self._next = max(self._next, start)
        self._consumer.assign([TopicPartition(*self._place, self._next)])
        left = MAX_RECORDS
        while left > 0 and not self._spent():
            batch = self._consumer.consume(min(BATCH, left), reader.POLL_S)
            messages, at_end = self._read(batch)
            left -= len(messages)
            mine = [each for each in messages if each.key == self._key]
            self._found += mine
            if at_end or any(map(sought.is_it, mine)):
                return True
        return False

    def _read(self, batch: Sequence[confluent_kafka.Message]) -> tuple[list[Message], bool]:
        """
        Return the messages of *batch*, and whether the partition's end was met.
        """
        messages, at_end = [], False
        for raw in batch:
            error = raw.error()
            if error is None:
                message = message_of(raw)
                self._bytes_left -= len(message.key) + len(message.value or b"")
                if message.offset >= self._next:
                    self._next = message.offset + 1
                    messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end = True
            elif not error.retriable():
                raise KafkaException(error)
        return messages, at_end

    def _spent(self) -> bool:
        return self._bytes_left <= 0 or self._left_s() <= 0

    def _left_s(self) -> float:
        return max(0.0, self._end_at - time.monotonic())

    def _call_s(self) -> float:
        return min(CALL_S, max(MIN_CALL_S, self._left_s()))
