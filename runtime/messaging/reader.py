"""
Reads a topic from a start to the end that the broker named before reading began.

It joins no group. An incomplete read raises: a caller that computes something from a topic must have seen all of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from runtime.errors import ResourceExhausted, Unavailable
from runtime.messaging.cluster import KafkaCluster, Options
from runtime.messaging.errors import retrying
from runtime.messaging.message import Message, message_of

MAX_RECORDS = 5_000_000
CALL_S = 5.0
BATCH = 1000
POLL_S = 0.2
Ends = dict[int, int]
"""The offset after the last record of each partition."""
OPTIONS: Options = {
    # Required by the library; nothing is committed to it.
    "group.id": "reader",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    # The end of a partition is reported after this time without messages.
    "fetch.wait.max.ms": 50,
    "reconnect.backoff.max.ms": 1000,
    # Errors are raised; the library would log them again at each try.
    "log_level": 0,
}


async def read_to_end(
    kafka: KafkaCluster,
    topic: str,
    *,
    last: int | None = None,
    within_s: float = 60.0,
    max_records: int = MAX_RECORDS,
) -> list[Message]:
    """
    Return every committed message of *topic*, or those at the *last* offsets of each partition.

    Raises `Unavailable` if the end is not reached *within_s*: no broker, no leader,
    or a transaction that is still open. Raises `ResourceExhausted` above *max_records*.
    """
    reading = messages_to_end(kafka, topic, last=last, within_s=within_s, max_records=max_records)
    return await asyncio.to_thread(list, reading)


def messages_to_end(
    kafka: KafkaCluster,
    topic: str,
    *,
    last: int | None = None,
    starts: Mapping[int, int] | None = None,
    within_s: float = 60.0,
    max_records: int = MAX_RECORDS,
) -> Iterator[Message]:
    """
    Yield what `read_to_end` returns, message by message; *starts* are offsets by partition.

    It blocks, so it belongs in a thread. Messages yielded before an error are incomplete.
    """
    end_at = time.monotonic() + within_s
    consumer = Consumer(kafka.options(OPTIONS))
    try:
        lows, ends = _patiently(kafka, topic, end_at)
        begins = {number: _start(low, ends[number], number, last, starts) for number, low in lows.items()}
        left = {number: end for number, end in ends.items() if begins[number] < end}
        consumer.assign([TopicPartition(topic, number, begins[number]) for number in left])
        yield from _read(consumer, topic, left, end_at, max_records)
    finally:
        consumer.close()


def topic_starts_at(kafka: KafkaCluster, topic: str, at: datetime, *, within_s: float = 10.0) -> Ends:
    """
    Return for each partition of *topic* the first offset whose message was written *at* that time or later, its end
    without any; raise `Unavailable`.
    """
    ends = topic_ends(kafka, topic, within_s=within_s)
    admin = AdminClient(kafka.options({"log_level": 0}))
    try:
        spec = OffsetSpec.for_timestamp(int(at.timestamp() * 1000))
        found = _offsets(admin, [TopicPartition(topic, number) for number in ends], spec)
    except KafkaException as error:
        raise unread(topic, error.args[0].str()) from error
    return {number: offset if (offset := found[number]) >= 0 else end for number, end in ends.items()}


def topic_ends(kafka: KafkaCluster, topic: str, *, within_s: float = 10.0) -> Ends:
    """
    Return the end of *topic*; raise `Unavailable`.
    """
    return _patiently(kafka, topic, time.monotonic() + within_s)[1]


def _patiently(kafka: KafkaCluster, topic: str, end_at: float) -> tuple[Ends, Ends]:
    try:
        return retrying(max(0.0, end_at - time.monotonic()))(_bounds, kafka, topic)
    except KafkaException as error:
        raise unread(topic, error.args[0].str()) from error


def _start(low: int, end: int, number: int, last: int | None, starts: Mapping[int, int] | None) -> int:
    if starts is not None:
        return max(low, starts.get(number, low))
    return low if last is None else max(low, end - last)


def _bounds(kafka: KafkaCluster, topic: str) -> tuple[Ends, Ends]:
    """
    Return the first and the end offset of each partition; records before the end may be uncommitted.
    """
    admin = AdminClient(kafka.options({"log_level": 0}))
    found = admin.list_topics(topic, timeout=CALL_S).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    places = [TopicPartition(topic, number) for number in found.partitions]
    starts = _offsets(admin, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    return starts, _offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def _offsets(admin: AdminClient, places: Sequence[TopicPartition], spec: OffsetSpec) -> Ends:
    specs = dict.fromkeys(places, spec)
    level = IsolationLevel.READ_UNCOMMITTED
    futures = admin.list_offsets(specs, isolation_level=level, request_timeout=CALL_S) if specs else {}
    return {place.partition: future.result().offset for place, future in futures.items()}


def _read(consumer: Consumer, topic: str, left: Ends, end_at: float, max_records: int) -> Iterator[Message]:
    count = 0
    while left:
        if time.monotonic() > end_at:
            raise unread(topic, f"its end was not reached in time (partitions {_shown(left)})")
        for raw in consumer.consume(BATCH, POLL_S):
            error = raw.error()
            if error is None:
                count += 1
                if count > max_records:
                    raise ResourceExhausted(f"{topic} has more than {max_records} records", reason="TOPIC_TOO_LARGE")
                yield _advanced(left, message_of(raw))
            elif error.code() == KafkaError._PARTITION_EOF:
                _reach(left, raw.partition() or 0, raw.offset() or 0)
            elif not error.retriable():
                raise unread(topic, error.str())


def _advanced(left: Ends, message: Message) -> Message:
    _reach(left, message.partition, message.offset + 1)
    return message


def _reach(left: Ends, partition: int, position: int) -> None:
    """
    Record that *partition* was read up to *position*; an end before the broker's is that of an open transaction.
    """
    if partition in left and position >= left[partition]:
        del left[partition]


def _shown(left: Ends) -> str:
    return ", ".join(f"{number} to {end}" for number, end in sorted(left.items())[:10])


def unread(topic: str, problem: str) -> Unavailable:
    """
    Return the error of a *topic* that could not be read to its end.
    """
    return Unavailable(
        f"{topic} cannot be read from Kafka to its end: {problem}",
        reason="TOPIC_UNREAD",
        metadata={"topic": topic},
        retry_after_s=1,
    )
