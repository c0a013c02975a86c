"""Topics as they must be, and what makes them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tenacity
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from runtime.errors import Unavailable

SEVEN_DAYS_MS = 7 * 24 * 3600 * 1000


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
