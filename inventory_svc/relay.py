"""
Publishes stock events: from Redis's stream, where scripts append them, to Kafka.

One replica at a time holds the lock; if it dies another goes on from the first
event that is still in the stream. An event leaves the stream only after all
in-sync brokers have it, so it is published at least once, and repeats carry the
same event id. Events that Redis lost before they were published stay lost; the
stock itself is rebuilt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import structlog
from opentelemetry import trace
from prometheus_client import Counter, Gauge
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from inventory_svc import wire
from inventory_svc.scripts import EVENTS, RELAY_LOCK
from inventory_svc.topics import STOCK_EVENTS
from runtime import errors, spans
from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher

BATCH = 500
LOCK_S = 15.0
"""Expiry of the lock of a replica that died; more than publishing a batch takes."""
WAIT_MS = 2000
"""How long to wait for the next event, before checking that the lock is still ours."""
LOOK_S = 1.0
"""How often the lock is renewed and the backlog measured, while events keep coming."""
GATHER_S = 0.05
"""Unless more than a batch is waiting, events gather for this time: one of them costs nearly as much as many."""
BACKLOG = Gauge("inventory_stock_events_backlog", "Stock events that wait for Kafka.")
LAG = Gauge("inventory_stock_events_lag_seconds", "Age of the oldest stock event that waits for Kafka.")
PUBLISHED = Counter("inventory_stock_events_published", "Stock events that Kafka has taken.", ["kind"])
REFUSED = Counter("inventory_stock_events_refused", "Stock events that cannot be published; alert on any.")
Entry = tuple[str, Mapping[str, str]]
log = structlog.get_logger()


class Relay:
    """Publishes the stream's events to Kafka; the timeout of *redis* must exceed `WAIT_MS`."""

    def __init__(self, redis: Redis, publisher: Publisher, *, retry_s: float = 1.0) -> None:
        self._redis = redis
        self._publisher = publisher
        self._retry_s = retry_s

    async def run(self) -> None:
        """
        Publish until cancelled, whenever this replica has the lock.
        """
        while True:
            try:
                await self._lead()
            except (errors.Error, RedisError, OSError, TimeoutError) as error:
                log.warning("stock_events_waiting", error=str(error))
            await asyncio.sleep(self._retry_s)

    async def _lead(self) -> None:
        lock = self._redis.lock(RELAY_LOCK, timeout=LOCK_S, blocking=False)
        await self._measure()
        if not await lock.acquire():
            return
        log.info("stock_events_relayed_here")
        try:
            await self._publish_while_leading(lock)
        finally:
            await _release(lock)

    async def _publish_while_leading(self, lock: Lock) -> None:
        last, looked_at = "0", float("-inf")
        while True:
            if time.monotonic() - looked_at > LOOK_S:
                await lock.reacquire()
                await self._measure()
                looked_at = time.monotonic()
            entries = await self._next(last)
            if entries:
                await self._publish(entries)
                last = entries[-1][0]
                await self._redis.xtrim(EVENTS, minid=_after(last), approximate=False)
            if len(entries) < BATCH:
                await asyncio.sleep(GATHER_S)

    async def _next(self, last: str) -> list[Entry]:
        found = cast(Any, await self._redis.xread({EVENTS: last}, count=BATCH, block=WAIT_MS))
        streams = list(found.values()) if isinstance(found, dict) else [entries for _, entries in found or ()]
        return _flatten(streams)

    async def _publish(self, entries: Sequence[Entry]) -> None:
        """
        Publish *entries*; one that can never be published is reported and skipped.
        """
        readable = [(entry, record) for entry in entries if (record := _readable(*entry)) is not None]
        records = [record for _, record in readable]
        headers = [record.headers for record in records]
        with spans.of_messages(f"publish {STOCK_EVENTS.name}", headers, trace.SpanKind.PRODUCER):
            outcomes = await self._publisher.publish_each(records)
        for ((event_id, fields), _), outcome in zip(readable, outcomes, strict=True):
            if isinstance(outcome, errors.Unavailable):
                raise outcome
            if outcome is not None:
                _refuse(event_id, fields, outcome)
            else:
                PUBLISHED.labels(fields["kind"]).inc()

    async def _measure(self) -> None:
        BACKLOG.set(await self._redis.xlen(EVENTS))
        oldest = _flatten([cast(Any, await self._redis.xrange(EVENTS, count=1))])
        seconds, micros = await self._redis.time()
        LAG.set(max(0.0, seconds + micros / 1e6 - _at_ms(oldest[0]) / 1000) if oldest else 0.0)


def _flatten(streams: Sequence[Any]) -> list[Entry]:
    return [(event_id, fields) for entries in streams for event_id, fields in entries]


def _after(event_id: str) -> str:
    generation, _, sequence = event_id.partition("-")
    return f"{generation}-{int(sequence) + 1}"


def _at_ms(entry: Entry) -> int:
    at = entry[1].get("at", "")
    return int(at) if at.isdecimal() else 0


def _readable(event_id: str, fields: Mapping[str, str]) -> Record | None:
    """
    Return the record of an event; None if it is invalid, which is reported and must not block the others.
    """
    try:
        return _record(event_id, fields)
    except Exception as error:
        _refuse(event_id, fields, error)
        return None


def _refuse(event_id: str, fields: Mapping[str, str], error: Exception) -> None:
    REFUSED.inc()
    log.error("stock_event_refused", event_id=event_id, fields=fields, error=str(error) or repr(error))


def _record(event_id: str, fields: Mapping[str, str]) -> Record:
    event = wire.stock_event(event_id, fields)
    key = event.hold or event.changes[0].product
    headers = {spans.TRACEPARENT: fields[spans.TRACEPARENT]} if spans.TRACEPARENT in fields else {}
    return Record(STOCK_EVENTS.name, key.encode(), event.SerializeToString(), headers)


async def _release(lock: Lock) -> None:
    try:
        await lock.release()
    except (LockError, RedisError, OSError):
        log.info("stock_relay_lock_lost")
