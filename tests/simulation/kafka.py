"""
Kafka as the services see it: topics with partitions, a publisher, consumer groups, and reading to the end.

A record that was given up may still arrive; a member that is not heard of loses its partitions and may go on with
what it has; what is not committed comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from runtime.errors import InvalidArgument, Unavailable
from runtime.messaging.message import Message, Record
from tests.simulation.loop import PROCESS, Process
from tests.simulation.network import Network
from tests.simulation.virtual import EPOCH_S

HOST = "kafka"
DELIVERY_S = 10.0
SESSION_S = 10.0
RESEND_S = 0.2
PARTITIONS = 4
Place = tuple[str, int]
OnAssign = Callable[[Any, list[TopicPartition]], Awaitable[None]]


@dataclass(frozen=True)
class Raw:
    """A record as confluent_kafka's `Message` shows it."""

    at: Place
    index: int
    record: Record
    at_ms: int

    def error(self) -> None:
        """Nothing is wrong with it."""

    def topic(self) -> str:
        """Return its topic."""
        return self.at[0]

    def partition(self) -> int:
        """Return its partition."""
        return self.at[1]

    def offset(self) -> int:
        """Return its offset."""
        return self.index

    def key(self) -> bytes:
        """Return its key."""
        return self.record.key

    def value(self) -> bytes | None:
        """Return its value."""
        return self.record.value

    def headers(self) -> list[tuple[str, bytes]]:
        """Return its headers."""
        return [(name, text.encode()) for name, text in self.record.headers.items()]

    def timestamp(self) -> tuple[int, int]:
        """Return when it was appended."""
        return 1, self.at_ms


@dataclass
class Group:
    """A consumer group: who is in it, what each should have, what each has, and how far that is done."""

    topics: set[str] = field(default_factory=set)
    members: dict[object, str] = field(default_factory=dict)
    """Each with its host."""
    wanted: dict[Place, object] = field(default_factory=dict)
    owners: dict[Place, object] = field(default_factory=dict)
    committed: dict[Place, tuple[int, str]] = field(default_factory=dict)
    """Each with what was committed beside it."""
    handled: dict[Place, int] = field(default_factory=dict)
    """As far as members have come back for more; what they could not commit is repeated after their end alone."""


class Broker:
    """The broker; its logs and the groups' offsets are durable."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self.network = network
        self.rng = rng
        self.up = True
        self.process = Process(HOST)
        self.logs: dict[Place, list[Raw]] = {}
        self.partitions: dict[str, int] = {}
        self.groups: dict[str, Group] = {}
        self.on_append: Callable[[Raw], None] | None = None
        self._news = asyncio.Event()

    def make_topic(self, name: str, partitions: int = PARTITIONS) -> None:
        """
        Make a topic.
        """
        self.partitions[name] = partitions
        for number in range(partitions):
            self.logs[name, number] = []

    def places(self, topics: set[str]) -> list[Place]:
        """
        Return all partitions of *topics*.
        """
        return [(name, number) for name in sorted(topics) for number in range(self.partitions[name])]

    def append(self, record: Record) -> None:
        """
        Append to the partition that the key decides.
        """
        place = (record.topic, zlib.crc32(record.key) % self.partitions[record.topic])
        at_ms = int((EPOCH_S + asyncio.get_running_loop().time()) * 1000)
        raw = Raw(place, len(self.logs[place]), record, at_ms)
        self.logs[place].append(raw)
        self.notify()
        if self.on_append is not None:
            self.on_append(raw)

    def notify(self) -> None:
        """
        Wake consumers.
        """
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        """
        Wait for a record, or for a rebalance.
        """
        await self._news.wait()

    def stop(self) -> None:
        """
        End; what is on its way is lost.
        """
        self.up = False
        self.process.die()

    def start(self) -> None:
        """
        Start again, with its logs.
        """
        self.up = True
        self.process = Process(HOST)
        self.notify()

    def rebalance(self, name: str) -> None:
        """
        Give every member its share; a partition moves when the one who has it lets go.
        """
        group = self.groups[name]
        members = list(group.members)
        group.wanted = {}
        for index, place in enumerate(self.places(group.topics)):
            if members:
                group.wanted[place] = members[index % len(members)]
        group.owners = {place: owner for place, owner in group.owners.items() if owner in group.members}
        self.notify()

    def expel(self, name: str, member: object) -> None:
        """
        Have a member that was not heard of leave.
        """
        group = self.groups[name]
        if member in group.members:
            del group.members[member]
            self.rebalance(name)

    def expel_host(self, host: str) -> None:
        """
        Have every member on *host* leave.
        """
        for name, group in self.groups.items():
            for member in [each for each, where in group.members.items() if where == host]:
                self.expel(name, member)

    def lag(self) -> int:
        """
        Return how many records are still to be handled.
        """
        return sum(self.lagging().values())

    def lagging(self) -> dict[str, int]:
        """
        Return how many records each group has still to handle, by group and partition; those without any are left out.
        """
        found = {
            f"{name} {place[0]}/{place[1]}": len(self.logs[place])
            - max(group.committed.get(place, (0, ""))[0], group.handled.get(place, 0))
            for name, group in self.groups.items()
            for place in self.places(group.topics)
        }
        return {name: count for name, count in found.items() if count}


class Publisher:
    """The port `Publishes`: acks=all, in order per partition."""

    def __init__(self, broker: Broker, client: str) -> None:
        self._broker = broker
        self._client = client

    async def publish(self, records: Sequence[Record]) -> None:
        """
        Return once every record is there, or raise.
        """
        for outcome in await self.publish_each(records):
            if outcome is not None:
                raise outcome

    async def publish_each(self, records: Sequence[Record]) -> list[Unavailable | InvalidArgument | None]:
        """
        Publish *records* and return for each what went wrong.
        """
        if not records:
            return []
        # An idempotent producer's repeats are known to the broker: a record is taken once.
        taken: set[int] = set()
        arrived: set[int] = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELIVERY_S):
                while not await self._send(records, taken, arrived):  # noqa: ASYNC110 - as a producer does
                    await asyncio.sleep(RESEND_S)
        lost = Unavailable("Kafka does not answer", reason="KAFKA_UNAVAILABLE", retry_after_s=1)
        return [None if index in arrived else lost for index in range(len(records))]

    async def _send(self, records: Sequence[Record], taken: set[int], arrived: set[int]) -> bool:
        broker = self._broker
        if not broker.up:
            return False
        done = asyncio.get_running_loop().create_future()

        async def receive() -> None:
            await broker.network.travel(self._client, HOST)
            for index, record in enumerate(records):
                if index not in taken:
                    taken.add(index)
                    broker.append(record)
                if broker.network.reset():
                    break
            await broker.network.travel(HOST, self._client)
            arrived.update(taken)
            if not done.done():
                done.set_result(len(taken) == len(records))

        def lost() -> None:
            if not done.done():
                done.set_result(False)

        process = broker.process
        process.on_death.append(lost)
        process.start(receive())
        try:
            return bool(await done)
        finally:
            if lost in process.on_death:
                process.on_death.remove(lost)


class Consumer:
    """What the services use of `confluent_kafka.aio.AIOConsumer`."""

    def __init__(self, broker: Broker, settings: Mapping[str, Any]) -> None:
        self._broker = broker
        self._name = str(settings["group.id"])
        process = PROCESS.get()
        assert process is not None
        self._process = process
        self._member = object()
        self._positions: dict[Place, int] = {}
        self._joined = False
        process.on_death.append(self._fall_silent)

    @property
    def _group(self) -> Group:
        return self._broker.groups[self._name]

    def _fall_silent(self) -> None:
        asyncio.get_running_loop().call_later(
            SESSION_S, self._broker.expel, self._name, self._member, context=contextvars.Context()
        )

    async def subscribe(self, topics: list[str], *, on_assign: OnAssign) -> None:
        """
        Join the group.
        """
        self._on_assign = on_assign
        self._broker.groups.setdefault(self._name, Group()).topics |= set(topics)
        self._join()

    def _join(self) -> None:
        self._member = object()
        self._positions = {}
        self._group.members[self._member] = self._process.name
        self._joined = True
        self._broker.rebalance(self._name)

    def _reached(self) -> bool:
        network, host = self._broker.network, self._process.name
        return self._broker.up and not network.is_cut(host, HOST) and not network.is_cut(HOST, host)

    async def _take_part(self) -> None:
        """
        Let go of what others should have, and take what is free; join again after having been expelled.
        """
        group = self._group
        if self._member not in group.members:
            self._join()
        for place in list(self._positions):
            if group.wanted.get(place) is not self._member or group.owners.get(place) is not self._member:
                del self._positions[place]
                if group.owners.get(place) is self._member:
                    del group.owners[place]
                    self._broker.notify()
        free = [place for place, member in group.wanted.items() if member is self._member and place not in group.owners]
        if free:
            group.owners |= dict.fromkeys(free, self._member)
            await self._on_assign(self, [TopicPartition(*place) for place in free])

    async def committed(self, partitions: Sequence[TopicPartition], *, timeout: float) -> list[TopicPartition]:  # noqa: ASYNC109
        """
        Return what is committed; at once, so that no rebalance comes between an assignment and its start.
        """
        nothing = (OFFSET_INVALID, "")
        found = [(each, self._group.committed.get((each.topic, each.partition), nothing)) for each in partitions]
        return [TopicPartition(each.topic, each.partition, offset, mark) for each, (offset, mark) in found]

    async def incremental_assign(self, partitions: Sequence[TopicPartition]) -> None:
        """
        Start at the offsets of *partitions*, by default those that are committed.
        """
        for each in partitions:
            place = (each.topic, each.partition)
            committed, _ = self._group.committed.get(place, (0, ""))
            self._positions[place] = 0 if each.offset == OFFSET_BEGINNING else committed

    async def consume(self, limit: int, wait_s: float) -> list[Raw]:
        """
        Return at most *limit* records that come within *wait_s*.
        """
        end = asyncio.get_running_loop().time() + wait_s
        self._group.handled.update(self._positions)
        while True:
            if self._reached():
                await self._take_part()
                found = self._fetch(limit)
                if found:
                    await asyncio.sleep(self._broker.network.delay_s())
                    return found
            try:
                async with asyncio.timeout_at(end):
                    await self._broker.news()
            except TimeoutError:
                return []

    def _fetch(self, limit: int) -> list[Raw]:
        found: list[Raw] = []
        for place, position in self._positions.items():
            part = self._broker.logs[place][position : position + limit - len(found)]
            self._positions[place] = position + len(part)
            found += part
        return found

    async def commit(self, *, offsets: Sequence[Any], asynchronous: bool) -> None:
        """
        Commit offsets; raises `KafkaException` if the group goes on without this member.
        """
        network, host = self._broker.network, self._process.name
        await network.travel(host, HOST)
        if not self._broker.up:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        if self._member not in self._group.members:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
        for each in offsets:
            self._group.committed[each.topic, each.partition] = each.offset, each.metadata or ""
        await network.travel(HOST, host)

    async def unsubscribe(self) -> None:
        """
        Leave the group.
        """
        if self._joined:
            self._joined = False
            self._positions = {}
            self._broker.expel(self._name, self._member)

    async def assignment(self) -> list[Place]:
        """
        Return what this member has.
        """
        return list(self._positions)

    async def close(self) -> None:
        """
        End.
        """


async def topic_ids(broker: Broker, topics: Sequence[str]) -> dict[str, str]:
    """
    Return the ids of *topics*, as far as the broker can be asked; none is ever made again here.
    """
    return {name: f"id-of-{name}" for name in topics} if broker.up else {}


async def read_to_end(broker: Broker, topic: str, *, last: int | None = None, within_s: float) -> list[Message]:
    """
    Return every record of *topic*, or those at the *last* offsets of each partition.
    """
    process = PROCESS.get()
    host = process.name if process is not None else "client"
    try:
        async with asyncio.timeout(within_s):
            await broker.network.travel(host, HOST)
            while not broker.up:
                await broker.news()
            found = [raw for place in broker.places({topic}) for raw in broker.logs[place][-last if last else 0 :]]
            await broker.network.travel(HOST, host)
    except TimeoutError as error:
        raise Unavailable(f"{topic} cannot be read", reason="TOPIC_UNREAD", retry_after_s=1) from error
    return [
        Message(raw.topic(), raw.partition(), raw.index, raw.key(), raw.value(), raw.record.headers, raw.at_ms)
        for raw in found
    ]
