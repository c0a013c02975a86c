"""What Kafka still has for the saga: how much waits, and what nothing could be done with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import confluent_kafka
import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from orders_svc import saga
from runtime.consuming import Message, message_of
from runtime.errors import Unavailable
from runtime.kafka import Record

GROUP = "orders-redrive"
CALL_S = 5.0
# A message that does not come within this time is left for the next redrive.
SILENCE_S = 3.0
# Told by the saga about earlier deliveries; a redriven message starts anew.
FORGOTTEN = {"reason", "error", "from", "deliveries"}
log = structlog.get_logger()


@dataclass(frozen=True)
class Redriven:
    """How many messages were sent back, and how many are no pending orders."""

    sent: int
    passed_over: int


class DeadLetters:
    """Counts what waits in the saga's topics, and sends dead letters back."""

    def __init__(self, brokers: str, bus: saga.Bus) -> None:
        self._brokers = brokers
        self._bus = bus
        self._admin = AdminClient({"bootstrap.servers": brokers, "log_level": 3})
        self._busy = asyncio.Lock()

    async def lags(self, topics: Mapping[str, str]) -> dict[str, int]:
        """
        Return for each of *topics* how many messages its group, the value, has not acknowledged.
        """
        return await asyncio.to_thread(self._lags, topics)

    def _lags(self, topics: Mapping[str, str]) -> dict[str, int]:
        try:
            known = self._admin.list_topics(timeout=CALL_S).topics
            places = {name: list(known[name].partitions) for name in topics if name in known}
            ends = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            starts = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            return {name: self._lag(topics[name], name, places[name], starts, ends) for name in places}
        except KafkaException as error:
            raise unavailable(error) from error

    def _offsets(self, places: Mapping[str, Sequence[int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        asked = {TopicPartition(name, number): spec for name, numbers in places.items() for number in numbers}
        futures = self._admin.list_offsets(asked, request_timeout=CALL_S)
        return {(place.topic, place.partition): future.result().offset for place, future in futures.items()}

    def _lag(
        self,
        group: str,
        name: str,
        numbers: Sequence[int],
        starts: Mapping[tuple[str, int], int],
        ends: Mapping[tuple[str, int], int],
    ) -> int:
        asked = [TopicPartition(name, number) for number in numbers]
        request = confluent_kafka.ConsumerGroupTopicPartitions(group, asked)
        (future,) = self._admin.list_consumer_group_offsets([request], request_timeout=CALL_S).values()
        done = {place.partition: place.offset for place in future.result().topic_partitions}
        return sum(max(0, ends[name, n] - max(done.get(n, -1), starts[name, n])) for n in numbers)

    async def redrive(self, limit: int) -> Redriven:
        """
        Send at most *limit* dead letters back to `pending_orders`, the oldest first.

        One that is sent twice does no harm: the saga looks at the order. Raises
        `Unavailable` while Kafka can't be reached.
        """
        async with self._busy:
            consumer = Consumer(
                {
                    "bootstrap.servers": self._brokers,
                    "group.id": GROUP,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "log_level": 3,
                }
            )
            try:
                return await self._redrive(consumer, limit)
            except KafkaException as error:
                raise unavailable(error) from error
            finally:
                await asyncio.to_thread(consumer.close)

    async def _redrive(self, consumer: Consumer, limit: int) -> Redriven:
        left = await asyncio.to_thread(self._assign, consumer)
        sent = passed_over = 0
        while left and sent + passed_over < limit:
            most = min(500, limit - sent - passed_over, left)
            batch = await asyncio.to_thread(consumer.consume, most, SILENCE_S)
            messages = [message_of(raw) for raw in batch if raw.error() is None]
            if not messages:
                break
            records = [record for message in messages if (record := again(message)) is not None]
            await self._bus.publish(records)
            await asyncio.to_thread(_acknowledge, consumer, messages)
            sent += len(records)
            passed_over += len(messages) - len(records)
            left -= len(messages)
        log.info("dead letters were redriven", sent=sent, passed_over=passed_over)
        return Redriven(sent, passed_over)

    @staticmethod
    def _assign(consumer: Consumer) -> int:
        """
        Place *consumer* after what was redriven before; return how many messages follow.
        """
        numbers = consumer.list_topics(saga.DEAD, timeout=CALL_S).topics[saga.DEAD].partitions
        left, places = 0, []
        for place in consumer.committed([TopicPartition(saga.DEAD, number) for number in numbers], timeout=CALL_S):
            low, high = consumer.get_watermark_offsets(place, timeout=CALL_S)
            place.offset = max(place.offset, low)
            left += max(0, high - place.offset)
            places.append(place)
        consumer.assign(places)
        return left


def _acknowledge(consumer: Consumer, messages: Sequence[Message]) -> None:
    after: dict[int, int] = {}
    for message in messages:
        after[message.partition] = max(after.get(message.partition, 0), message.offset + 1)
    places = [TopicPartition(saga.DEAD, number, offset) for number, offset in after.items()]
    consumer.commit(offsets=places, asynchronous=False)


def again(message: Message) -> Record | None:
    """
    Return what *message* becomes in `pending_orders`; None if it is no pending order.
    """
    try:
        saga.parse(message)
    except saga.Poison:
        return None
    headers = {key: value for key, value in message.headers.items() if key not in FORGOTTEN}
    return Record(saga.PENDING_ORDERS, message.key, message.value, headers)


def unavailable(error: KafkaException) -> Unavailable:
    """
    Return what callers are told while Kafka does not answer.
    """
    return Unavailable(f"Kafka does not answer: {error}", reason="KAFKA_UNAVAILABLE", retry_after_s=1)
