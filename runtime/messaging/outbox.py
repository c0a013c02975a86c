"""
The outbox: what a transaction wants published, published after its commit.

Rows are written in the transaction itself. A relay publishes them at least once
and, for each key of a topic, in the order of their ids. Every replica runs one;
they share the shards of the keys among them through advisory locks, which end
with the session of a relay that dies. The table is `outbox` as in the orders'
schema: id, shard, topic, key, value, headers, create_time, refused.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import asyncpg
import structlog
from opentelemetry import propagate
from prometheus_client import Counter, Gauge

from runtime.database import NOT_NOW, listening
from runtime.errors import Error, InvalidArgument, Unavailable
from runtime.messaging.message import Record

CHANNEL = "outbox"
SHARDS = 8
# Names our advisory locks among others of the same database.
LOCKS = 0x6F75
_MEMBERS = SHARDS
_BALANCE_EVERY_S = 2.0
# A relay that is stopped but not dead loses its session, and so its shards, after this time.
_IDLE_LIMIT_S = 30

LAG = Gauge("outbox_lag_seconds", "Age of the oldest row that waits to be published.")
WAITING = Gauge("outbox_waiting_rows", "Rows that wait to be published.")
REFUSED = Gauge("outbox_refused_rows", "Rows that Kafka refuses for good; an operator must look.")
PUBLISHED = Counter("outbox_published", "Rows that were published.", ["topic"])
log = structlog.get_logger()

SELECT_BATCH = """
SELECT waiting.* FROM unnest($1::smallint[]) AS mine(shard) CROSS JOIN LATERAL (
    SELECT id, topic, key, value, headers FROM outbox
    WHERE outbox.shard = mine.shard AND refused IS NULL ORDER BY id LIMIT $2
) AS waiting ORDER BY waiting.id
"""
DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
REFUSE = "UPDATE outbox SET refused = $2 WHERE id = $1"
REDRIVE = "UPDATE outbox SET refused = NULL WHERE refused IS NOT NULL"
BACKLOG = """
SELECT count(*) FILTER (WHERE refused IS NULL) AS waiting,
       count(*) FILTER (WHERE refused IS NOT NULL) AS refused,
       coalesce(extract(epoch FROM clock_timestamp() - min(create_time) FILTER (WHERE refused IS NULL)), 0) AS lag_s
FROM outbox
"""
LOCK_SHARD = "SELECT pg_try_advisory_lock($1, $2)"
UNLOCK_SHARD = "SELECT pg_advisory_unlock($1, $2)"
JOIN_RELAYS = "SELECT pg_try_advisory_lock_shared($1, $2)"
COUNT_RELAYS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = $1::int::oid AND objid = $2::int::oid AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def shard_of(key: bytes) -> int:
    """
    Return the shard of *key*; the same for ever, since rows carry it.
    """
    return zlib.crc32(key) % SHARDS


def trace_headers() -> dict[str, str]:
    """
    Return the current trace context as headers, so that the consumer's work joins the trace.
    """
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


class Publishes(Protocol):
    """What the relay needs of `runtime.messaging.publisher.Publisher`."""

    async def publish_each(self, records: Sequence[Record]) -> Sequence[Unavailable | InvalidArgument | None]:
        """Publish and return for each record what went wrong."""


class Relay:
    """
    Publishes the rows of its share of the shards, for ever.

    Wakes when `CHANNEL` is notified, and every *poll_s* in case nobody told it.
    """

    def __init__(self, pool: asyncpg.Pool, publisher: Publishes, *, batch_limit: int = 500, poll_s: float = 1) -> None:
        self._pool = pool
        self._publisher = publisher
        self._per_shard = max(1, batch_limit // SHARDS)
        self._poll_s = poll_s
        self._wake = asyncio.Event()
        self._shards: set[int] = set()

    async def run(self) -> None:
        """
        Relay until cancelled; a lost database only makes it wait.
        """
        while True:
            try:
                async with self._pool.acquire(timeout=5) as connection:
                    await self._relay(connection)
            except (*NOT_NOW, asyncpg.PostgresError) as error:
                log.warning("the outbox relay lost its database", error=str(error) or type(error).__name__)
            finally:
                self._shards.clear()
            await asyncio.sleep(0.5)

    async def _relay(self, connection: Any) -> None:
        # A deletion that a failover forgets means one more repeat, which consumers stand anyway.
        await connection.execute(f"SET synchronous_commit = off; SET idle_session_timeout = '{_IDLE_LIMIT_S}s'")
        await connection.fetchval(JOIN_RELAYS, LOCKS, _MEMBERS)
        async with listening(connection, CHANNEL, lambda _: self._wake.set()):
            await self._relay_shards(connection)

    async def _relay_shards(self, connection: Any) -> None:
        balanced_at = float("-inf")
        while True:
            if time.monotonic() - balanced_at > _BALANCE_EVERY_S:
                await self._balance(connection)
                await self._measure(connection)
                balanced_at = time.monotonic()
            self._wake.clear()
            if not await self.move_batch(connection):
                await self._sleep()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _balance(self, connection: Any) -> None:
        """
        Keep a fair share of the shards: claim free ones below it, give up those above it.
        """
        relays = max(1, await connection.fetchval(COUNT_RELAYS, LOCKS, _MEMBERS))
        fair = -(-SHARDS // relays)
        for shard in sorted(self._shards)[fair:]:
            await connection.fetchval(UNLOCK_SHARD, LOCKS, shard)
            self._shards.discard(shard)
        for shard in sorted(set(range(SHARDS)) - self._shards):
            if len(self._shards) >= fair:
                break
            if await connection.fetchval(LOCK_SHARD, LOCKS, shard):
                self._shards.add(shard)

    async def _measure(self, connection: Any) -> None:
        backlog = await connection.fetchrow(BACKLOG)
        LAG.set(max(0.0, float(backlog["lag_s"])))
        WAITING.set(backlog["waiting"])
        REFUSED.set(backlog["refused"])

    async def move_batch(self, connection: Any) -> bool:
        """
        Publish and delete one batch of this relay's shards; return whether it got anywhere.
        """
        rows = await connection.fetch(SELECT_BATCH, sorted(self._shards), self._per_shard)
        moved = False
        for wave in waves(rows):
            outcomes = await self._publisher.publish_each([_record(row) for row in wave])
            await self._settle(connection, wave, outcomes)
            moved = True
            if any(isinstance(outcome, Unavailable) for outcome in outcomes):
                # Later rows of a key must not overtake; Kafka is given a moment.
                return False
        return moved

    async def _settle(self, connection: Any, rows: Sequence[Any], outcomes: Sequence[Error | None]) -> None:
        done = [row["id"] for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
        if done:
            await connection.execute(DELETE, done)
        waiting = [outcome.message for outcome in outcomes if isinstance(outcome, Unavailable)]
        if waiting:
            log.warning("Kafka did not take some rows; they stay", rows=len(waiting), error=waiting[0])
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome is None:
                PUBLISHED.labels(row["topic"]).inc()
            elif isinstance(outcome, InvalidArgument):
                await connection.execute(REFUSE, row["id"], outcome.message)
                log.error("Kafka refuses a row for good", id=row["id"], topic=row["topic"], error=outcome.message)


def waves(rows: Iterable[Any]) -> list[list[Any]]:
    """
    Split *rows* so that no wave has two of the same topic and key, in their order.

    Each wave waits for the one before, so a failed row is never overtaken by a later one of its key.
    """
    result: list[list[Any]] = []
    seen: dict[tuple[str, bytes], int] = {}
    for row in rows:
        place = (row["topic"], row["key"])
        number = seen.get(place, -1) + 1
        seen[place] = number
        if number == len(result):
            result.append([])
        result[number].append(row)
    return result


def _record(row: Any) -> Record:
    return Record(row["topic"], row["key"], row["value"], json.loads(row["headers"]))
