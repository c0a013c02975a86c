"""
Kafka: publishing that waits for every broker's word, consuming that commits after the effect.

librdkafka does the work; its callbacks come back to the event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar, cast

import confluent_kafka
import structlog
import tenacity
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from confluent_kafka.aio import AIOConsumer

from runtime import consumer_lag
from runtime.errors import InvalidArgument, Unavailable

Anything = TypeVar("Anything")
log = structlog.get_logger()
COMMIT_S = 10.0
"""For committing offsets; it may wait for a rebalance that only goes on while somebody consumes."""
LEAVE_S = 8.0
"""For leaving a group; a request that the coordinator holds back during a rebalance takes 5 s."""
THREADS = 4
"""Of a consumer: one at work, the others for when a call into librdkafka does not return."""
THREAD_PREFIX = "kafka-consumer-"
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
class Message:
    """What was consumed."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Mapping[str, str]
    timestamp_ms: int


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


Handler = Callable[[Sequence[Message]], Awaitable[None]]
"""Takes effect of a batch, or raises; called again with the same messages after a crash."""


async def consume(
    brokers: str,
    *,
    group: str,
    topics: Sequence[str],
    handle: Handler,
    client_id: str,
    batch_limit: int = 200,
    poll_s: float = 0.5,
) -> None:
    """
    Hand messages to *handle* in batches, for ever; offsets are committed after the effect.

    Rebalances happen between batches only, so a partition moves with everything
    done and committed; after a crash the uncommitted are delivered again. What
    *handle* raises ends this call: wrap it in what retries or puts aside. It must
    return within 5 minutes, or the group gives its partitions to another member.
    """
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix=f"{THREAD_PREFIX}{group}")
    consumer = AIOConsumer(_consumer_settings(brokers, group, client_id), executor=executor)
    try:
        await consumer.subscribe(list(topics))
        while True:
            await _consume_batch(consumer, handle, batch_limit, poll_s)
    finally:
        await asyncio.shield(_leave(consumer, group))
        executor.shutdown(wait=False)


async def _leave(consumer: AIOConsumer, group: str) -> None:
    """
    Give the partitions back, then close; whatever was taken effect of is committed already.

    Closing in the middle of a rebalance has been seen never to return
    (librdkafka issue 4527), so the rebalance is served first and the wait is limited.
    """
    try:
        async with asyncio.timeout(LEAVE_S):
            await consumer.unsubscribe()
            while await consumer.assignment():
                await consumer.consume(1, 0.1)
            await consumer.close()
    except (TimeoutError, KafkaException) as error:
        log.warning("a consumer was left open", group=group, error=str(error))


def stuck_threads(*, wait_s: float) -> list[str]:
    """
    Return the threads of consumers that have not ended after *wait_s*, once all consumers were left.
    """
    end = time.monotonic() + wait_s
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]


def _consumer_settings(brokers: str, group: str, client_id: str) -> dict[str, object]:
    return {
        "stats_cb": consumer_lag.reporter(group),
        "statistics.interval.ms": consumer_lag.INTERVAL_MS,
        "bootstrap.servers": brokers,
        "group.id": group,
        "client.id": client_id,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 2_000,
        "max.poll.interval.ms": 300_000,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.max.ms": 1000,
        "queued.max.messages.kbytes": 16_384,
        "log_level": 3,
    }


async def _consume_batch(consumer: AIOConsumer, handle: Handler, limit: int, poll_s: float) -> None:
    received = await _to_its_end(consumer.consume(limit, poll_s), limit_s=poll_s + LEAVE_S)
    messages = [message_of(each) for each in received if each.error() is None]
    for each in received:
        if each.error() is not None:
            log.warning("Kafka reports an error", error=each.error().str())
    if not messages:
        return
    await handle(messages)
    await _commit(consumer, messages)


async def _to_its_end(call: Coroutine[Any, Any, Anything], *, limit_s: float) -> Anything:
    """
    Return what *call* returns within *limit_s*; who is cancelled waits for that first.

    It runs in a thread that no cancellation reaches, and closing the consumer
    while a thread is in it may never return. Raises `TimeoutError` after *limit_s*.
    """
    running = asyncio.ensure_future(call)
    waiting = asyncio.ensure_future(asyncio.wait([running], timeout=limit_s))
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await waiting
        raise
    if not running.done():
        raise TimeoutError
    return running.result()


def message_of(raw: confluent_kafka.Message) -> Message:
    """
    Return what librdkafka received, in our words.
    """
    headers = cast(list[tuple[str, bytes | None]], raw.headers() or [])
    return Message(
        topic=raw.topic() or "",
        partition=raw.partition() or 0,
        offset=raw.offset() or 0,
        key=raw.key() or b"",
        value=raw.value(),
        headers={name: (value or b"").decode("utf-8", "replace") for name, value in headers},
        timestamp_ms=raw.timestamp()[1],
    )


async def _commit(consumer: AIOConsumer, messages: Sequence[Message]) -> None:
    """
    Commit past *messages*; what cannot be committed is delivered again, and every effect is idempotent.
    """
    next_offsets = {(each.topic, each.partition): each.offset + 1 for each in messages}
    positions = [confluent_kafka.TopicPartition(*place, offset) for place, offset in next_offsets.items()]
    try:
        await _to_its_end(consumer.commit(offsets=positions, asynchronous=False), limit_s=COMMIT_S)
    except (KafkaException, TimeoutError) as error:
        log.warning("offsets were not committed; their messages will come again", error=repr(error))


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
