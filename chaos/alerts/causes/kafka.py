"""Causes in Kafka: records that nobody can use, topics that take none, events that come again."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order

from chaos.alerts.causes import redis
from chaos.alerts.causes.machine import stack_command
from inventory_svc.topics import DEAD_EVENTS, LEDGER
from orders_svc.topics import ORDER_EVENTS, PARTITIONS, PENDING_ORDERS
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.topics import Topic, ensure_topics
from stack.describe import describe
from stack.errors import StackError
from stack.settings import Settings

SPOILED = b"\xff\xff\xff"
"""Not a protobuf message."""
KEY = b"alerts"
CALL_S = 10
# The smallest record with its headers is larger.
NOTHING_BYTES = 40
SINGLE = "alerts_single_copy"
PENDING = Topic(PENDING_ORDERS, PARTITIONS)
MADE_S, POLL_S = 30.0, 0.2
SIZE, AGE = "max.message.bytes", "message.timestamp.before.max.ms"


def _configure(chosen: Settings, topic: str, name: str, value: int | None) -> None:
    """Set a topic's setting, or take it off."""
    admin = _admin(chosen)
    operation = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
    entry = ConfigEntry(name, None if value is None else str(value), incremental_operation=operation)
    wanted = [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])]
    for future in admin.incremental_alter_configs(wanted, request_timeout=CALL_S).values():
        future.result()


def _admin(chosen: Settings) -> AdminClient:
    return AdminClient(_cluster(chosen).options({"log_level": 0}))


def _cluster(chosen: Settings) -> KafkaCluster:
    return KafkaCluster(describe(chosen).kafka_brokers)


async def _publish(chosen: Settings, topic: str, key: bytes, value: bytes | None) -> None:
    async with Publisher(_cluster(chosen), client_id="chaos-alerts") as publisher:
        await publisher.publish([Record(topic, key, value)])


async def spoil_message(chosen: Settings, _kept: Path, topic: str) -> None:
    """Publish a record that its consumers cannot parse."""
    await _publish(chosen, topic, KEY, SPOILED)


def redrive(chosen: Settings, _kept: Path, _topic: str) -> None:
    """Redrive dead letters, which passes over those that cannot be parsed."""
    stack_command(chosen, "redrive")


async def stop_dead_letters(chosen: Settings, _kept: Path) -> None:
    """Have inventory's topic of dead letters take no writes for now, and publish an event that belongs there."""
    # The broker refuses a record that is older than no time at all, and not for good.
    _configure(chosen, DEAD_EVENTS.name, AGE, 0)
    await _publish(chosen, ORDER_EVENTS, KEY, SPOILED)


def take_dead_letters(chosen: Settings, _kept: Path) -> None:
    """Have it take writes."""
    _configure(chosen, DEAD_EVENTS.name, AGE, None)


async def refuse_dead_letters(chosen: Settings, _kept: Path) -> None:
    """Have inventory's topic of dead letters refuse every record for good, and publish an event that belongs there."""
    _configure(chosen, DEAD_EVENTS.name, SIZE, NOTHING_BYTES)
    await _publish(chosen, ORDER_EVENTS, KEY, SPOILED)


def accept_dead_letters(chosen: Settings, _kept: Path) -> None:
    """Have it accept records again."""
    _configure(chosen, DEAD_EVENTS.name, SIZE, DEAD_EVENTS.max_message_bytes)


def lose_single_copy(chosen: Settings, kept: Path, broker: str) -> None:
    """Make a topic that has its only copy on one broker of several, and stop that broker."""
    admin = _admin(chosen)
    number = int(broker.rpartition("-")[2])
    if number >= chosen.profile.brokers or chosen.profile.brokers == 1:
        raise StackError(f"{broker} is not one of several brokers: this takes a stack with PROFILE=ha")
    kept.write_text(SINGLE, encoding="utf-8")
    for future in admin.create_topics([NewTopic(SINGLE, 1, replica_assignment=[[number + 1]])]).values():
        future.result(CALL_S)
    stack_command(chosen, "stop", broker)


def bring_single_copy_back(chosen: Settings, kept: Path, broker: str) -> None:
    """Start the broker, and delete the topic."""
    stack_command(chosen, "start", broker)
    if kept.exists():
        _delete(chosen, SINGLE)
        kept.unlink()


def _delete(chosen: Settings, topic: str) -> None:
    # Kept: a client that nobody holds ends at once, and its requests with it.
    admin = _admin(chosen)
    for future in admin.delete_topics([topic], operation_timeout=CALL_S).values():
        try:
            future.result(CALL_S)
        except KafkaException as error:
            # Deleted at an earlier try.
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise


def recreate_topic(chosen: Settings, _kept: Path) -> None:
    """Delete the topic of pending orders while it is consumed, and make it again."""
    _delete(chosen, PENDING_ORDERS)
    end = time.monotonic() + MADE_S
    # For a moment the old one still counts as there.
    while not ensure_topics(_cluster(chosen), [PENDING]):
        if time.monotonic() > end:
            raise StackError(f"{PENDING_ORDERS} was deleted, and is still there after {MADE_S:g} s")
        time.sleep(POLL_S)


def publish_pending(chosen: Settings, _kept: Path) -> None:
    """Make the topic if it is missing, and reconcile, which publishes what has been pending for too long."""
    ensure_topics(_cluster(chosen), [PENDING])
    stack_command(chosen, "reconcile")


def refuse_events(chosen: Settings, _kept: Path) -> None:
    """Have the topic of order events refuse every record for good."""
    _configure(chosen, ORDER_EVENTS, SIZE, NOTHING_BYTES)


def accept_events(chosen: Settings, _kept: Path) -> None:
    """Have it accept records again, and reconcile, which publishes what was refused."""
    _configure(chosen, ORDER_EVENTS, SIZE, None)
    stack_command(chosen, "reconcile")


async def spoil_ledger(chosen: Settings, _kept: Path) -> None:
    """Write an entry to the stock's ledger that cannot be parsed."""
    await _publish(chosen, LEDGER.name, KEY, SPOILED)


async def mend_ledger(chosen: Settings, _kept: Path) -> None:
    """Write a tombstone over it."""
    await _publish(chosen, LEDGER.name, KEY, None)


async def repeat_old_event(chosen: Settings, kept: Path, product: str) -> None:
    """Have inventory forget every order until now, and publish an hour-old confirmation of one that it never knew."""
    redis.forget_orders(chosen, kept)
    event = OrderEvent(event_id=str(uuid.uuid4()))
    event.occur_time.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
    event.order.name = f"orders/{uuid.uuid4()}"
    event.order.state = Order.CONFIRMED
    event.order.lines.add(product=f"products/{product}", quantity=1)
    await _publish(chosen, ORDER_EVENTS, event.order.name.encode(), event.SerializeToString())
