"""
The ids of topics: Kafka gives a new one to a topic that is deleted and made again under its old name (KIP-516).

A consumer that runs meanwhile goes on at its old offset, without any error if the new topic has as many records.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.errors import Unavailable
from runtime.messaging.cluster import KafkaCluster

LOOK_S = 10.0
CALL_S = 5.0
MARK = "topic-id="
NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""Of brokers that give topics none."""
Ids = Mapping[str, str]
"""By topic; empty for a topic without an id. Topics of which Kafka has told nothing are missing."""
Ask = Callable[[], Awaitable[Ids]]


class TopicIds:
    """
    Remembers the ids of topics for one consumer; *ask* returns those that Kafka tells.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, str] = {}
        self._recreated: set[str] = set()
        self._committed: set[tuple[str, int]] = set()

    async def look(self) -> Ids:
        """
        Return the new id of each topic that has another one than at the last look.

        While Kafka does not tell, and of a topic that does not exist, the last id counts.
        """
        return self._take(await self._ask())

    @contextlib.contextmanager
    def watch(self) -> Iterator[Callable[[], Ids]]:
        """
        Ask every `LOOK_S` beside the caller; yield what returns, without waiting, the new ids as `look` does.

        What Kafka tells counts from that call on, not before: a batch is committed with the id it was read under.
        """
        looking = asyncio.ensure_future(self._later())

        def recreated() -> Ids:
            nonlocal looking
            if not looking.done():
                return {}
            found, looking = looking.result(), asyncio.ensure_future(self._later())
            return self._take(found)

        try:
            yield recreated
        finally:
            looking.cancel()

    async def _later(self) -> Ids:
        await asyncio.sleep(LOOK_S)
        return await self._ask()

    def _take(self, found: Ids) -> Ids:
        changed = {name: each for name, each in found.items() if each and (self._known.get(name) or each) != each}
        self._known |= {name: each for name, each in found.items() if each or name not in self._known}
        self._recreated |= changed.keys()
        self._committed = {place for place in self._committed if place[0] not in changed}
        return changed

    def mark(self, topic: str) -> str:
        """
        Return what is committed with an offset of *topic*: the id of the topic that it counts in, if it is known.
        """
        return MARK + self._known[topic] if self._known.get(topic) else ""

    def committed(self, places: Sequence[TopicPartition]) -> None:
        """
        Remember that offsets of *places* were committed with `mark`: those of the topic before are overwritten.
        """
        self._committed |= {(each.topic, each.partition) for each in places if each.topic in self._recreated}

    def started(self, committed: Sequence[TopicPartition]) -> list[TopicPartition]:
        """
        Return where to start, given what was committed: an offset of another topic of that name counts for nothing.

        One without an id, by an earlier version or a tool, counts unless this process has seen the topic made again
        and has committed nothing in that partition since. Raises `Unavailable` for one with an id while Kafka has told
        none to compare it with.
        """
        return [self._start(each) for each in committed]

    def _start(self, place: TopicPartition) -> TopicPartition:
        if place.offset >= 0 and self._is_of_another(place):
            return TopicPartition(place.topic, place.partition, OFFSET_BEGINNING)
        return TopicPartition(place.topic, place.partition)

    def _is_of_another(self, place: TopicPartition) -> bool:
        mark = place.metadata or ""
        if not mark.startswith(MARK):
            return place.topic in self._recreated and (place.topic, place.partition) not in self._committed
        if place.topic not in self._known:
            raise Unavailable(f"Kafka does not tell the id of {place.topic}", reason="KAFKA_UNAVAILABLE")
        return bool(self._known[place.topic]) and mark != self.mark(place.topic)


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
            found[name] = told if told != NO_ID else ""
        return found

    async def ask() -> Ids:
        return await asyncio.to_thread(tell)

    return ask
