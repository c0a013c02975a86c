"""
The ids of topics: Kafka gives a new one to a topic that is deleted and made again under its old name (KIP-516).

A consumer that runs meanwhile goes on at its old offset, without any error if the new topic has as many records.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.messaging.cluster import KafkaCluster

LOOK_S = 10.0
CALL_S = 5.0
MARK = "topic-id="
NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""Of brokers that give topics none."""
Ids = Mapping[str, str]
Ask = Callable[[], Awaitable[Ids]]


class TopicIds:
    """
    Remembers the ids of *topics* for one consumer; *ask* returns those that Kafka tells.

    *clock* returns seconds.
    """

    def __init__(self, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[str, str] = {}
        self._recreated: set[str] = set()
        self._look_at = float("-inf")

    async def recreated(self) -> dict[str, str]:
        """
        Return the new id of each topic that has another one than at the last look; asks every `LOOK_S` at most.

        While Kafka does not tell, and of a topic that does not exist, the last id counts.
        """
        if self._clock() < self._look_at:
            return {}
        found = await self._ask()
        self._look_at = self._clock() + LOOK_S
        changed = {name: each for name, each in found.items() if self._known.get(name, each) != each}
        self._known |= found
        self._recreated |= changed.keys()
        return changed

    def mark(self, topic: str) -> str:
        """
        Return what is committed with an offset of *topic*: the id of the topic that it counts in, if it is known.
        """
        return MARK + self._known[topic] if topic in self._known else ""

    def started(self, committed: Sequence[TopicPartition]) -> list[TopicPartition]:
        """
        Return where to start, given what was committed: an offset of another topic of that name counts for nothing.

        One without an id, by an earlier version, counts unless this process has seen the topic made again.
        """
        return [self._start(each) for each in committed]

    def _start(self, place: TopicPartition) -> TopicPartition:
        mark, own = place.metadata or "", self.mark(place.topic)
        another = mark != own if mark.startswith(MARK) and own else place.topic in self._recreated
        if place.offset >= 0 and another:
            return TopicPartition(place.topic, place.partition, OFFSET_BEGINNING)
        return TopicPartition(place.topic, place.partition)


def asking(kafka: KafkaCluster, topics: Sequence[str]) -> Ask:
    """
    Return what asks Kafka for the ids of *topics*, within `CALL_S`; those that it does not tell are missing.
    """
    login = kafka.login()
    admin = AdminClient(login.options({"reconnect.backoff.max.ms": 1000, "log_level": 0}))

    def tell() -> Ids:
        login.renew(admin)
        found = {}
        # The broker's own limit may be longer.
        for name, future in admin.describe_topics(TopicCollection(list(topics)), request_timeout=CALL_S).items():
            try:
                told = str(future.result(CALL_S).topic_id)
            except (KafkaException, TimeoutError):
                continue
            if told != NO_ID:
                found[name] = told
        return found

    async def ask() -> Ids:
        return await asyncio.to_thread(tell)

    return ask
