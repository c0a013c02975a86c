"""What the saga could do nothing with: dead letters, until somebody sends them back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from orders_svc import saga
from runtime.messaging.errors import unavailable
from runtime.messaging.message import Message, Record, message_of

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
    """Sends dead letters back."""

    def __init__(self, brokers: str, bus: saga.Bus) -> None:
        self._brokers = brokers
        self._bus = bus
        self._busy = asyncio.Lock()

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
