"""Redrives dead letters to their original topics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from runtime.errors import InvalidArgument, Unavailable
from runtime.messaging import dead_letters
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.dead_lettering import Publishes
from runtime.messaging.errors import retrying, unavailable
from runtime.messaging.message import Message, Record, message_of

CALL_S = 5.0
SILENCE_S = 3.0
"""A message that does not arrive within this time is left for the next redrive."""
BATCH = 500
log = structlog.get_logger()


@dataclass(frozen=True)
class Source:
    """The source of a dead-letter topic's records, and the test of one that is worth redriving."""

    topic: str
    accepts: Callable[[Message], bool]


@dataclass
class Redriven:
    """How many messages were redriven, and how many were skipped because that would not help; by topic."""

    sent: dict[str, int] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)


class Redrive:
    """
    Redrives dead letters, from the topics of *sources* to their sources and nowhere else.

    *group* stores the progress; no consumer ever joins it.
    """

    def __init__(self, kafka: KafkaCluster, publisher: Publishes, sources: Mapping[str, Source], *, group: str) -> None:
        self._kafka = kafka
        self._publisher = publisher
        self._sources = sources
        self._group = group
        self._busy = asyncio.Lock()

    async def run(self, limit: int, *, topic: str = "") -> Redriven:
        """
        Redrive at most *limit* dead letters, the oldest first, of *topic* or else of all.

        A duplicate does no harm: consumers are idempotent. Raises `Unavailable` while Kafka can't be reached,
        `InvalidArgument` if *topic* is not one of ours.
        """
        if topic and topic not in self._sources:
            known = ", ".join(sorted(self._sources))
            raise InvalidArgument(f"{topic} is no dead-letter topic; those are {known}", reason="UNKNOWN_TOPIC")
        done = Redriven()
        async with self._busy:
            for each in [topic] if topic else sorted(self._sources):
                left = limit - sum(done.sent.values()) - sum(done.passed_over.values())
                await self._run(each, left, done)
        return done

    async def _run(self, topic: str, limit: int, done: Redriven) -> None:
        own = {
            "group.id": self._group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "log_level": 0,
        }
        consumer = Consumer(self._kafka.options(own))
        try:
            await self._redrive(consumer, topic, limit, done)
        except KafkaException as error:
            raise unavailable(error) from error
        finally:
            await asyncio.to_thread(consumer.close)

    async def _redrive(self, consumer: Consumer, topic: str, limit: int, done: Redriven) -> None:
        left = min(limit, await asyncio.to_thread(_assign_patiently, consumer, topic))
        sent = passed_over = 0
        while left > 0:
            batch = await asyncio.to_thread(consumer.consume, min(BATCH, left), SILENCE_S)
            messages = [message_of(raw) for raw in batch if raw.error() is None]
            if not messages:
                break
            records = [record for message in messages if (record := self._again(topic, message)) is not None]
            taken = await self._publish(records)
            await asyncio.to_thread(_acknowledge, consumer, messages)
            sent += taken
            passed_over += len(messages) - taken
            left -= len(messages)
        done.sent[topic], done.passed_over[topic] = sent, passed_over
        log.info("dead_letters_redriven", topic=topic, sent=sent, passed_over=passed_over)

    async def _publish(self, records: Sequence[Record]) -> int:
        """
        Return how many Kafka accepted; permanently rejected ones are skipped.
        """
        outcomes = await self._publisher.publish_each(records)
        for outcome in outcomes:
            if isinstance(outcome, Unavailable):
                raise outcome
            if outcome is not None:
                log.warning("dead_letter_refused", error=outcome.message)
        return sum(outcome is None for outcome in outcomes)

    def _again(self, topic: str, message: Message) -> Record | None:
        """
        Return the record of *message* for its origin; None if it was truncated, or is invalid there.
        """
        source = self._sources[topic]
        if dead_letters.ORIGINAL_SIZE in message.headers or not source.accepts(message):
            log.warning("dead_letter_passed_over", place=message.place, reason=message.headers.get(dead_letters.REASON))
            return None
        return Record(source.topic, message.key, message.value, dead_letters.redriven(message.headers))


def _assign_patiently(consumer: Consumer, topic: str) -> int:
    return retrying(CALL_S)(_assign, consumer, topic)


def _assign(consumer: Consumer, topic: str) -> int:
    """
    Place *consumer* after the redriven messages; return how many follow.
    """
    found = consumer.list_topics(topic, timeout=CALL_S).topics[topic]
    if found.error is not None and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        # Its service was never installed.
        return 0
    if found.error is not None:
        raise KafkaException(found.error)
    left, places = 0, []
    partitions = [TopicPartition(topic, number) for number in found.partitions]
    for place in consumer.committed(partitions, timeout=CALL_S):
        if place.error is not None:
            raise KafkaException(place.error)
        low, high = consumer.get_watermark_offsets(place, timeout=CALL_S)
        place.offset = max(place.offset, low)
        left += max(0, high - place.offset)
        places.append(place)
    consumer.assign(places)
    return left


def _acknowledge(consumer: Consumer, messages: Sequence[Message]) -> None:
    after: dict[tuple[str, int], int] = {}
    for message in messages:
        place = (message.topic, message.partition)
        after[place] = max(after.get(place, 0), message.offset + 1)
    consumer.commit(offsets=[TopicPartition(*place, offset) for place, offset in after.items()], asynchronous=False)
