"""Topics: their settings, and their creation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.errors import retrying, unavailable

MAX_MESSAGE_BYTES = "max.message.bytes"
SEVEN_DAYS_MS = 7 * 24 * 3600 * 1000
MAX_DEAD_LETTER_BYTES = 2 * 1024 * 1024
"""Twice the limit of other topics, so that whatever fits there also fits with the headers of a dead letter."""


@dataclass(frozen=True)
class Topic:
    """A topic's settings; compacted ones keep the last record of each key forever."""

    name: str
    partitions: int = 4
    compacted: bool = False
    retention_ms: int = SEVEN_DAYS_MS
    max_message_bytes: int | None = None
    """The broker's limit if None."""

    def configuration(self) -> dict[str, str]:
        """
        Return the topic's settings as Kafka names them.
        """
        sizes = {} if self.max_message_bytes is None else {MAX_MESSAGE_BYTES: str(self.max_message_bytes)}
        if self.compacted:
            return {"cleanup.policy": "compact", **sizes}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms), **sizes}


def dead_letter_topic(name: str, *, partitions: int = 1) -> Topic:
    """
    Return the retry or dead-letter topic *name*, with room for the largest record of its source and the added headers.
    """
    return Topic(name, partitions, max_message_bytes=MAX_DEAD_LETTER_BYTES)


def ensure_topics(
    kafka: KafkaCluster, topics: Sequence[Topic], *, replication: int = -1, wait_s: float = 60
) -> set[str]:
    """
    Create the missing topics, and raise the record limit of existing ones where needed.

    Returns the names of those that were created.

    *replication* -1 is the broker's default. Waits up to *wait_s* for Kafka, then raises `Unavailable`.
    """
    admin = AdminClient(kafka.options({"log_level": 3}))
    try:
        existed = retrying(wait_s)(_create_topics, admin, topics, replication)
        retrying(wait_s)(_alter_topics, admin, [each for each in existed if each.max_message_bytes is not None])
    except KafkaException as error:
        raise unavailable(error) from error
    return {each.name for each in topics} - {each.name for each in existed}


def _create_topics(admin: AdminClient, topics: Sequence[Topic], replication: int) -> list[Topic]:
    """
    Return which of *topics* existed already.
    """
    wanted = [NewTopic(t.name, t.partitions, replication, config=t.configuration()) for t in topics]
    existed = set()
    for name, future in admin.create_topics(wanted, operation_timeout=10, request_timeout=10).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            existed.add(name)
    return [each for each in topics if each.name in existed]


def _alter_topics(admin: AdminClient, topics: Sequence[Topic]) -> None:
    wanted = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            each.name,
            incremental_configs=[
                ConfigEntry(MAX_MESSAGE_BYTES, str(each.max_message_bytes), incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for each in topics
    ]
    futures = admin.incremental_alter_configs(wanted, request_timeout=10) if wanted else {}
    for future in futures.values():
        future.result()
