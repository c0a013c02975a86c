"""Consumer group lag, as Kafka reports it, independent of the members."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from runtime.messaging.cluster import KafkaCluster, Login, Options
from runtime.messaging.errors import unavailable

CALL_S = 5.0
OPTIONS: Options = {"reconnect.backoff.max.ms": 1000, "log_level": 0}
Place = tuple[str, int]
"""A topic and the number of one of its partitions."""


class GroupLags:
    """
    Reads committed offsets and the partitions' ends; joins no group.

    A group's offsets are read by a consumer of that group that never subscribes. An AdminClient would end the whole
    process as soon as another broker coordinates the group (librdkafka issue 5040), and so all replicas at once.
    """

    def __init__(self, kafka: KafkaCluster) -> None:
        self._kafka = kafka
        self._admin_login = kafka.login()
        self._admin = AdminClient(self._admin_login.options(OPTIONS))
        self._members: dict[str, tuple[Consumer, Login]] = {}
        self._busy = threading.Lock()

    async def waiting(self, topics: Mapping[str, str]) -> dict[str, dict[int, int]]:
        """
        Return for each of *topics* with lag the first uncommitted offset by partition.

        Raises `Unavailable` while Kafka can't be asked.
        """
        return await asyncio.to_thread(self._waiting, topics)

    async def positions(self, topics: Mapping[str, str]) -> dict[str, dict[int, int]]:
        """
        Return for each of *topics* the first offset that its group, the value, has not committed, by partition.

        A topic that does not exist is left out. Raises `Unavailable` while Kafka can't be asked.
        """
        found = await asyncio.to_thread(self._look, topics)
        return {name: {number: start for (_, number), (start, _) in places.items()} for name, places in found.items()}

    def _waiting(self, topics: Mapping[str, str]) -> dict[str, dict[int, int]]:
        found = self._look(topics)
        return {
            name: {number: start for (_, number), (start, _) in places.items()}
            for name, places in found.items()
            if any(start < end for start, end in places.values())
        }

    async def of(self, topics: Mapping[str, str]) -> dict[str, int]:
        """
        Return for each of *topics* how many messages its group, the value, has not committed.

        A topic that does not exist is left out. Raises `Unavailable` while Kafka can't be asked.
        """
        return await asyncio.to_thread(self._of, topics)

    def _of(self, topics: Mapping[str, str]) -> dict[str, int]:
        return {
            name: sum(max(0, end - start) for start, end in places.values())
            for name, places in self._look(topics).items()
        }

    def _look(self, topics: Mapping[str, str]) -> dict[str, dict[Place, tuple[int, int]]]:
        """
        Return for each partition of each topic the next offset of its group, and the end.
        """
        try:
            with self._alone():
                self._admin_login.renew(self._admin)
                known = self._admin.list_topics(timeout=CALL_S).topics
                places = {name: [(name, n) for n in known[name].partitions] for name in topics if name in known}
                every = [place for some in places.values() for place in some]
                starts = self._offsets(every, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
                ends = self._offsets(every, OffsetSpec.latest())  # type: ignore[no-untyped-call]
                done = {name: self._committed(topics[name], some) for name, some in places.items()}
        except KafkaException as error:
            raise unavailable(error) from error
        return {
            name: {place: (max(done[name][place], starts[place]), ends[place]) for place in some}
            for name, some in places.items()
        }

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # One call at a time; the wait for the others is as limited as a call to Kafka.
        if not self._busy.acquire(timeout=CALL_S):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "another call is still in progress"))
        try:
            yield
        finally:
            self._busy.release()

    def _offsets(self, places: Sequence[Place], spec: OffsetSpec) -> dict[Place, int]:
        specs = {TopicPartition(*place): spec for place in places}
        futures = self._admin.list_offsets(specs, request_timeout=CALL_S) if specs else {}
        return {(place.topic, place.partition): future.result().offset for place, future in futures.items()}

    def _committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """
        Return the committed offset of *group* in each partition; below 0 without one.
        """
        if group not in self._members:
            login = self._kafka.login()
            options = login.options(OPTIONS | {"group.id": group, "enable.auto.commit": False})
            self._members[group] = Consumer(options), login
        member, login = self._members[group]
        # Drain callbacks so that the queue does not grow.
        member.poll(0)
        login.renew(member)
        committed = member.committed([TopicPartition(*place) for place in places], timeout=CALL_S)
        for place in committed:
            if place.error is not None:
                raise KafkaException(place.error)
        return {(place.topic, place.partition): place.offset for place in committed}
