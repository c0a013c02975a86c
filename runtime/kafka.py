"""
Publishing to Kafka that waits for every broker's word, and the topics.

librdkafka does the work; its callbacks come back to the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import confluent_kafka
import tenacity
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from runtime.errors import InvalidArgument, Unavailable

SEVEN_DAYS_MS = 7 * 24 * 3600 * 1000
# A record that the broker refuses whenever it is sent: repeating it would never help.
_REFUSED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}


@dataclass(frozen=True)
class Record:
    """What is published: *key* decides the partition, and so the order."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Topic:
    """A topic as it must be; compacted ones keep the last record of each key for ever."""

    name: str
    partitions: int = 4
    compacted: bool = False
    retention_ms: int = SEVEN_DAYS_MS

    def configuration(self) -> dict[str, str]:
        """
        Return the topic's settings as Kafka names them.
        """
        if self.compacted:
            return {"cleanup.policy": "compact"}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


class Publisher:
    """
    Publishes with `acks=all` and an idempotent producer; used as an async context manager.

    At most *in_flight_limit* records wait for the broker.
    """

    def __init__(self, brokers: str, *, client_id: str, timeout_s: float = 10, in_flight_limit: int = 10_000) -> None:
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": brokers,
                "client.id": client_id,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "delivery.timeout.ms": int(timeout_s * 1000),
                "queue.buffering.max.messages": in_flight_limit,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 3,
            }
        )
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="kafka-delivery", daemon=True)

    async def __aenter__(self) -> Publisher:
        self._poller.start()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._producer.flush, 5)
        self._stop.set()
        await asyncio.to_thread(self._poller.join, 2)

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.2)

    async def publish(self, records: Sequence[Record]) -> None:
        """
        Return once every record is on every in-sync broker.

        Raises `Unavailable` if one is not within the time limit (some of the others
        may be there), `InvalidArgument` if a record can never be taken.
        """
        outcomes = await self.publish_each(records)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def publish_each(self, records: Sequence[Record]) -> list[Unavailable | InvalidArgument | None]:
        """
        Publish *records* and return for each what went wrong, None if it is there.
        """
        if not records:
            return []
        delivery = _Delivery(len(records), asyncio.get_running_loop())
        for index, record in enumerate(records):
            try:
                self._produce(record, delivery.callback(index))
            except (BufferError, KafkaException) as error:
                delivery.settle(index, _translate(record, error))
        return await delivery.done

    def _produce(self, record: Record, on_delivery: Callable[..., None]) -> None:
        self._producer.produce(
            record.topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers.items()),
            on_delivery=on_delivery,
        )


class _Delivery:
    """Counts the deliveries of one call; the poller's thread settles, the loop waits."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self._left = count
        self._outcomes: list[Unavailable | InvalidArgument | None] = [None] * count
        self._lock = threading.Lock()
        self._loop = loop
        self.done: asyncio.Future[list[Unavailable | InvalidArgument | None]] = loop.create_future()

    def callback(self, index: int) -> Callable[[KafkaError | None, confluent_kafka.Message], None]:
        """
        Return what librdkafka calls when record *index* is delivered or given up.
        """

        def delivered(error: KafkaError | None, message: confluent_kafka.Message) -> None:
            self.settle(index, None if error is None else _refusal(message.topic() or "", error))

        return delivered

    def settle(self, index: int, outcome: Unavailable | InvalidArgument | None) -> None:
        """
        Note the outcome of record *index*; the last one wakes the caller.
        """
        with self._lock:
            self._outcomes[index] = outcome
            self._left -= 1
            finished = self._left == 0
        if finished:
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(self._outcomes)


def _translate(record: Record, error: BufferError | KafkaException) -> Unavailable | InvalidArgument:
    if isinstance(error, BufferError):
        return Unavailable("the queue to Kafka is full", reason="KAFKA_UNAVAILABLE", retry_after_s=1)
    return _refusal(record.topic, error.args[0])


def _refusal(topic: str, error: KafkaError) -> Unavailable | InvalidArgument:
    metadata = {"topic": topic, "error": error.name()}
    message = f"Kafka did not take a record for {topic}: {error.str()}"
    if error.code() in _REFUSED:
        return InvalidArgument(message, reason="RECORD_REFUSED", metadata=metadata)
    return Unavailable(message, reason="KAFKA_UNAVAILABLE", metadata=metadata, retry_after_s=1)


def unavailable(error: KafkaException) -> Unavailable:
    """
    Return what callers are told while Kafka does not answer.
    """
    return Unavailable(f"Kafka does not answer: {error}", reason="KAFKA_UNAVAILABLE", retry_after_s=1)


def ensure_topics(brokers: str, topics: Sequence[Topic], *, replication: int = -1, wait_s: float = 60) -> None:
    """
    Create the topics that are missing; *replication* -1 is the broker's default.

    Waits up to *wait_s* for Kafka, then raises `Unavailable`.
    """
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 3})
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(KafkaException),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
        stop=tenacity.stop_after_delay(wait_s),
    )
    try:
        retrying(_create_topics, admin, topics, replication)
    except tenacity.RetryError as error:
        raise Unavailable("Kafka does not answer", reason="KAFKA_UNAVAILABLE") from error


def _create_topics(admin: AdminClient, topics: Sequence[Topic], replication: int) -> None:
    wanted = [NewTopic(t.name, t.partitions, replication, config=t.configuration()) for t in topics]
    for future in admin.create_topics(wanted, operation_timeout=10, request_timeout=10).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
