"""An order's timeline, from everything that is recorded of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from google.protobuf.message import DecodeError
from shop.orders.v1 import events_pb2, order_pb2

from orders_svc import saga
from orders_svc.dead_letters import GROUP, SOURCES
from orders_svc.operations_ports import Answered, Holds, Letters, Positions, Published, Records, Unpublished, Version
from orders_svc.order import State
from orders_svc.refusals import OrderNotFound
from orders_svc.topics import EVENTS_GROUP, ORDER_EVENTS, PENDING_ORDERS
from runtime.errors import Error
from runtime.messaging import dead_letters
from runtime.messaging.message import Message
from runtime.messaging.published import Sought


class Kind(StrEnum):
    """Kinds of entries; the contract's names."""

    ANSWERED = "ANSWERED"
    CHANGED = "CHANGED"
    PUBLISHED = "PUBLISHED"
    UNPUBLISHED = "UNPUBLISHED"
    PUBLISHING_REFUSED = "PUBLISHING_REFUSED"
    MESSAGE_WAITS = "MESSAGE_WAITS"
    DEAD_LETTER = "DEAD_LETTER"
    STOCK_HELD = "STOCK_HELD"
    STOCK_SOLD = "STOCK_SOLD"
    STOCK_RELEASED = "STOCK_RELEASED"


# The versions are in the database; a slow other source must not fail the call.
LOOK_S = 4.0
# Where events are is shown also while it is not known who has consumed them.
CONSUMED_S = 2.0
OF_HOLD = {"HELD": Kind.STOCK_HELD, "COMMITTED": Kind.STOCK_SOLD, "RELEASED": Kind.STOCK_RELEASED}
PUBLISHED: Mapping[str, type[events_pb2.OrderEvent | events_pb2.PendingOrder]] = {
    ORDER_EVENTS: events_pb2.OrderEvent,
    PENDING_ORDERS: events_pb2.PendingOrder,
}
# Of entries with the same time, responses come after changes.
ORDERED = [Kind.CHANGED, Kind.ANSWERED]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the timeline; *time* is None where only the current state is known."""

    kind: Kind
    time: datetime | None = None
    state: State | None = None
    version: int = 0
    detail: str = ""
    replica: str = ""
    trace_id: str = ""
    topic: str = ""
    partition: int = 0
    offset: int = 0
    deliveries: int = 0


@dataclass(frozen=True)
class Timeline:
    """An order, its timeline, the oldest entry first, and which sources were unavailable."""

    order: order_pb2.Order
    entries: Sequence[Entry]
    unknown: Sequence[str] = field(default_factory=tuple)


class Timelines:
    """Builds the timeline of an order; *path* lists the saga's topics, in which its messages wait."""

    def __init__(
        self,
        records: Records,
        holds: Holds,
        letters: Letters,
        published: Published,
        positions: Positions,
        path: Sequence[saga.Stage],
    ) -> None:
        self._records = records
        self._holds = holds
        self._letters = letters
        self._published = published
        self._positions = positions
        self._groups = {stage.topic: saga.group_of(stage) for stage in path} | dict.fromkeys(SOURCES, GROUP)
        self._consumers = {ORDER_EVENTS: EVENTS_GROUP, PENDING_ORDERS: self._groups[PENDING_ORDERS]}

    async def of(self, order_id: uuid.UUID) -> Timeline:
        """
        Return the order's timeline.

        Raises `OrderNotFound`, and `Unavailable` while the database is; inventory and Kafka are left out, and named,
        while they are unavailable.
        """
        orders, entries = await self._recorded(order_id)
        waited = [each for each in orders if each.state == order_pb2.Order.PENDING]
        unknown: set[str] = set()
        looks = [
            _entries("inventory", self._hold(order_id), unknown),
            _entries("Kafka", self._dead_letters(order_id), unknown),
            _entries("Kafka", self._publications(ORDER_EVENTS, order_id, orders, unknown), unknown),
            _entries("Kafka", self._publications(PENDING_ORDERS, order_id, waited, unknown), unknown),
        ]
        for found in await asyncio.gather(*looks):
            entries += found
        return Timeline(orders[-1], sorted(entries, key=_place), sorted(unknown))

    async def _recorded(self, order_id: uuid.UUID) -> tuple[list[order_pb2.Order], list[Entry]]:
        versions = await self._records.versions(order_id)
        if not versions:
            raise OrderNotFound("there is no such order")
        orders = [order_pb2.Order.FromString(each.snapshot) for each in versions]
        # A request got its response with the change that it made, so at its time.
        times = [each.update_time.ToDatetime(UTC) for each in orders]
        entries = [_changed(version, order) for version, order in zip(versions, orders, strict=True)]
        entries += [_answered(each) for each in await self._records.answered(order_id, times)]
        entries += [_unpublished(each) for each in await self._records.unpublished(order_id)]
        return orders, entries

    async def _hold(self, order_id: uuid.UUID) -> list[Entry]:
        found = await self._holds.state_of_hold(order_id)
        if found is None:
            return []
        state, expires = found
        detail = f"until {expires.isoformat(timespec='seconds')}" if expires else ""
        return [Entry(kind=OF_HOLD[state], detail=detail)]

    async def _dead_letters(self, order_id: uuid.UUID) -> list[Entry]:
        found = await self._letters.of(self._groups, str(order_id).encode())
        return [_letter(each, Kind.DEAD_LETTER if each.topic in SOURCES else Kind.MESSAGE_WAITS) for each in found]

    async def _publications(
        self, topic: str, order_id: uuid.UUID, orders: Sequence[order_pb2.Order], unknown: set[str]
    ) -> list[Entry]:
        if not orders:
            return []
        sought = [_sought(each) for each in orders]
        found, committed = await asyncio.gather(
            self._published.find(topic, str(order_id).encode(), sought), self._committed(topic)
        )
        if found.limited:
            unknown.add(f"Kafka: {topic} was searched up to a limit, which came before some of the order's events")
        return [_publication(each, self._consumers[topic], committed.get(each.partition)) for each in found.messages]

    async def _committed(self, topic: str) -> Mapping[int, int]:
        """
        Return the first offset of each partition that the consumers have not committed; nothing if it is not known.
        """
        try:
            async with asyncio.timeout(CONSUMED_S):
                return (await self._positions.positions({topic: self._consumers[topic]})).get(topic, {})
        except (Error, TimeoutError):
            return {}


async def _entries(part: str, look: Awaitable[list[Entry]], unknown: set[str]) -> list[Entry]:
    try:
        async with asyncio.timeout(LOOK_S):
            return await look
    except Error as error:
        unknown.add(f"{part}: {error.message}")
    except TimeoutError:
        unknown.add(f"{part}: no answer within {LOOK_S:g} s")
    return []


def _place(entry: Entry) -> tuple[bool, datetime, int, int]:
    rank = ORDERED.index(entry.kind) if entry.kind in ORDERED else len(ORDERED)
    return entry.time is None, entry.time or datetime.max.replace(tzinfo=UTC), entry.version, rank


def _changed(version: Version, order: order_pb2.Order) -> Entry:
    return Entry(
        kind=Kind.CHANGED,
        time=order.update_time.ToDatetime(UTC),
        state=State(order_pb2.Order.State.Name(order.state)),
        version=version.version,
        detail=order.state_reason,
        replica=version.replica,
        trace_id=version.trace_id,
    )


def _answered(request: Answered) -> Entry:
    detail = f"request {request.request_id}"
    return Entry(kind=Kind.ANSWERED, time=request.time, version=request.version, detail=detail)


def _unpublished(event: Unpublished) -> Entry:
    kind = Kind.UNPUBLISHED if event.refused is None else Kind.PUBLISHING_REFUSED
    return Entry(kind=kind, time=event.time, topic=event.topic, detail=event.refused or "")


def _letter(message: Message, kind: Kind) -> Entry:
    headers = message.headers
    why = (
        f"{headers[dead_letters.REASON]}: {headers.get(dead_letters.ERROR, '')} "
        if dead_letters.REASON in headers
        else ""
    )
    return Entry(
        kind=kind,
        time=_time_of(message),
        detail=f"{why}({message.place})",
        topic=message.topic,
        deliveries=dead_letters.deliveries(headers),
        trace_id=_trace_of(message),
    )


def _sought(order: order_pb2.Order) -> Sought:
    return Sought(order.update_time.ToDatetime(UTC), lambda message: _version_in(message) == order.version)


def _version_in(message: Message) -> int:
    """
    Return the version of the order in an event; 0 if it is none.
    """
    try:
        return PUBLISHED[message.topic].FromString(message.value or b"").order.version
    except DecodeError:
        return 0


def _publication(message: Message, group: str, committed: int | None) -> Entry:
    consumed = "" if committed is None else "consumed by" if message.offset < committed else "not yet consumed by"
    return Entry(
        kind=Kind.PUBLISHED,
        time=_time_of(message),
        version=_version_in(message),
        detail=f"{consumed} {group}" if consumed else "",
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        trace_id=_trace_of(message),
    )


def _time_of(message: Message) -> datetime | None:
    """
    Return the time of the record, None if it has none that is a date.
    """
    try:
        return datetime.fromtimestamp(message.timestamp_ms / 1000, UTC) if message.timestamp_ms >= 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _trace_of(message: Message) -> str:
    trace = message.headers.get("traceparent", "").split("-")
    return trace[1] if len(trace) == 4 else ""
