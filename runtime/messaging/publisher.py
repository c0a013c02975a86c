"""
Publishing to Kafka that waits for all in-sync brokers.

librdkafka does the work; its callbacks are passed to the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

import confluent_kafka
from confluent_kafka import KafkaError

from runtime.errors import InvalidArgument, Unavailable
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.errors import refusal, translated
from runtime.messaging.message import Record
from runtime.messaging.topics import MAX_DEAD_LETTER_BYTES

UNKNOWN_TOPIC_MS = 2000


class Publisher:
    """
    Publishes with `acks=all` and an idempotent producer; used as an async context manager.

    At most *max_in_flight* records wait for the broker.
    """

    def __init__(
        self, kafka: KafkaCluster, *, client_id: str, timeout_s: float = 10, max_in_flight: int = 10_000
    ) -> None:
        self._login = kafka.login()
        own = {
            "client.id": client_id,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "delivery.timeout.ms": int(timeout_s * 1000),
            # A missing topic is reported after this time, not after the delivery timeout.
            "topic.metadata.propagation.max.ms": UNKNOWN_TOPIC_MS,
            "message.max.bytes": MAX_DEAD_LETTER_BYTES,
            "queue.buffering.max.messages": max_in_flight,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 0,
        }
        self._producer = confluent_kafka.Producer(self._login.options(own))
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
            self._login.renew(self._producer)

    async def publish(self, records: Sequence[Record]) -> None:
        """
        Return once every record is on every in-sync broker.

        Raises `Unavailable` if one is not within the time limit (some of the others may be there), `InvalidArgument`
        if a record can never be accepted.
        """
        outcomes = await self.publish_each(records)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def publish_each(self, records: Sequence[Record]) -> list[Unavailable | InvalidArgument | None]:
        """
        Publish *records* and return an error, or None, for each.
        """
        if not records:
            return []
        delivery = _Delivery(len(records), asyncio.get_running_loop())
        for index, record in enumerate(records):
            try:
                self._produce(record, delivery.callback(index))
            except Exception as error:
                delivery.settle(index, translated(record.topic, error))
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
        Return librdkafka's callback for record *index*.
        """

        def delivered(error: KafkaError | None, message: confluent_kafka.Message) -> None:
            self.settle(index, None if error is None else refusal(message.topic() or "", error))

        return delivered

    def settle(self, index: int, outcome: Unavailable | InvalidArgument | None) -> None:
        """
        Record the outcome of record *index*; the last one wakes the caller.
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
