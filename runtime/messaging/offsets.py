"""Moves consumer groups to the ends of their topics, while none of their members runs."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.errors import retrying, unavailable
from runtime.messaging.reader import topic_ends

CALL_S = 10.0
PATIENCE_S = 45.0
"""A killed member belongs to its group until its session ends."""


def pass_over(kafka: KafkaCluster, topics: Mapping[str, str]) -> None:
    """
    Commit the end of each of *topics* for its group, the value; it blocks.

    Raises `Unavailable` if that fails for `PATIENCE_S`: Kafka is down, or the group has members.
    """
    for topic, group in topics.items():
        ends = [TopicPartition(topic, number, end) for number, end in topic_ends(kafka, topic).items()]
        try:
            retrying(PATIENCE_S)(_commit, kafka, group, ends)
        except KafkaException as error:
            raise unavailable(error) from error


def _commit(kafka: KafkaCluster, group: str, places: list[TopicPartition]) -> None:
    member = Consumer(kafka.options({"group.id": group, "enable.auto.commit": False, "log_level": 0}))
    try:
        for place in member.commit(offsets=places, asynchronous=False) or []:
            if place.error is not None:
                raise KafkaException(place.error)
    finally:
        member.close()
