"""
The outbox's relay: publishes its rows at least once and, for each key of a topic, in the order of their ids.

Every replica runs one; they share the shards of the keys through advisory locks, which end with the session of a relay
that dies. Each topic has its own task: an unavailable or slow one does not delay the others' rows.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import structlog
from opentelemetry import trace
from prometheus_client import Counter

from runtime import spans
from runtime.database import NOT_NOW, listening, own_session
from runtime.errors import Error, InvalidArgument, Unavailable
from runtime.messaging import outbox_backlog
from runtime.messaging.dead_lettering import Publishes
from runtime.messaging.message import Record
from runtime.messaging.outbox import CHANNEL, SHARDS
from runtime.messaging.outbox_shards import Shards

MEASURE_EVERY_S = 2.0
# A relay that is stopped but not dead loses its session, and so its shards, after this time.
_IDLE_LIMIT_S = 30
GATHER_S = 0.05
"""Unless more than a batch is waiting, rows gather for this time: one of them costs nearly as much as many."""
PROMPT_S = 0.25
"""A batch is awaited for this time; then the other topics continue without it."""
BACKOFF_S, MAX_BACKOFF_S = 0.5, 5.0
"""The first retry delay of a topic that failed, which doubles each time, and its maximum."""
PUBLISHED = Counter("outbox_published", "Rows that were published.", ["topic"])
log = structlog.get_logger()

SELECT_BATCH = """
SELECT waiting.* FROM unnest($1::smallint[]) AS mine(shard) CROSS JOIN LATERAL (
    SELECT id, topic, key, value, headers FROM outbox
    WHERE outbox.shard = mine.shard AND refused IS NULL AND topic <> ALL($3::text[]) ORDER BY id LIMIT $2
) AS waiting ORDER BY waiting.id
"""
DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
REFUSE = "UPDATE outbox SET refused = $2 WHERE id = $1"


class Relay:
    """
    Publishes the rows of its shards until cancelled.

    Wakes when `CHANNEL` is notified, and every *poll_s* in case a notification was lost. The metrics of *topics* exist
    from the start, those of others once something waits.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        publisher: Publishes,
        *,
        topics: Iterable[str] = (),
        max_batch: int = 500,
        poll_s: float = 1,
    ) -> None:
        outbox_backlog.show(topics)
        self._pool = pool
        self._publisher = publisher
        self._per_shard = max(1, max_batch // SHARDS)
        self._poll_s = poll_s
        self._wake = asyncio.Event()
        self._shards = Shards()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._publishing: set[str] = set()
        self._failures: Tally[str] = Tally()
        # A connection does one thing at a time.
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """
        Relay until cancelled; a lost database only makes it wait.
        """
        while True:
            try:
                async with own_session(self._pool) as connection:
                    await self._relay(connection)
            except (*NOT_NOW, asyncpg.PostgresError) as error:
                log.warning("outbox_relay_lost_database", error=str(error) or type(error).__name__)
            await asyncio.sleep(0.5)

    async def _relay(self, connection: Any) -> None:
        # A deletion that a failover loses means one more duplicate, which consumers tolerate anyway.
        await connection.execute(f"SET synchronous_commit = off; SET idle_session_timeout = '{_IDLE_LIMIT_S}s'")
        await self._shards.join(connection)
        async with listening(connection, CHANNEL, lambda _: self._wake.set()):
            try:
                await self._relay_shards(connection)
            finally:
                await self._end_tasks()
                self._shards.clear()

    async def _relay_shards(self, connection: Any) -> None:
        balanced_at = float("-inf")
        while True:
            if time.monotonic() - balanced_at > MEASURE_EVERY_S:
                async with self._one_at_a_time:
                    # A shard is released only when none of its rows is in flight.
                    await self._shards.balance(connection, may_release=not self._publishing)
                    await outbox_backlog.measure(connection)
                balanced_at = time.monotonic()
            self._wake.clear()
            moved = await self.move_batch(connection)
            if not moved:
                await self._sleep()
            if moved < self._per_shard:
                await asyncio.sleep(GATHER_S)

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def move_batch(self, connection: Any) -> int:
        """
        Start publishing one batch of this relay's shards; return how many rows it has.
        """
        self._end_failed_tasks()
        async with self._one_at_a_time:
            rows = await connection.fetch(SELECT_BATCH, self._shards.mine, self._per_shard, list(self._tasks))
        tasks = [self._begin_task(connection, topic, some) for topic, some in by_topic(rows).items()]
        if tasks:
            await asyncio.wait(tasks, timeout=PROMPT_S)
        self._end_failed_tasks()
        return len(rows)

    def _begin_task(self, connection: Any, topic: str, rows: Sequence[Any]) -> asyncio.Task[None]:
        self._publishing.add(topic)
        task = asyncio.create_task(self._move(connection, topic, rows), name=f"outbox {topic}")
        self._tasks[topic] = task
        return task

    def _end_failed_tasks(self) -> None:
        """
        Remove finished tasks; raise a database error of one of them.
        """
        for topic, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[topic]
                task.result()

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        self._tasks.clear()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._publishing.clear()

    async def _move(self, connection: Any, topic: str, rows: Sequence[Any]) -> None:
        """
        Publish *rows* of *topic* in their order; after a failure the topic waits before its rows are read again.
        """
        try:
            taken = await self._publish(connection, rows)
        finally:
            self._publishing.discard(topic)
        if taken:
            self._failures.pop(topic, None)
        else:
            await asyncio.sleep(min(MAX_BACKOFF_S, BACKOFF_S * 2 ** min(self._failures[topic], 10)))
            self._failures[topic] += 1
        self._wake.set()

    async def _publish(self, connection: Any, rows: Sequence[Any]) -> bool:
        for wave in waves(rows):
            records = [_record(row) for row in wave]
            headers = [record.headers for record in records]
            with spans.of_messages(f"publish {wave[0]['topic']}", headers, trace.SpanKind.PRODUCER):
                outcomes = await self._publisher.publish_each(records)
            async with self._one_at_a_time:
                await self._settle(connection, wave, outcomes)
            if any(isinstance(outcome, Unavailable) for outcome in outcomes):
                # Later rows of a key must not overtake; the topic is retried after a delay.
                return False
        return True

    async def _settle(self, connection: Any, rows: Sequence[Any], outcomes: Sequence[Error | None]) -> None:
        done = [row["id"] for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
        if done:
            await connection.execute(DELETE, done)
        waiting = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        if waiting:
            first = waiting[0]
            topic = rows[0]["topic"]
            log.warning(
                "outbox_topic_unavailable", topic=topic, rows=len(waiting), reason=first.reason, error=first.message
            )
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome is None:
                PUBLISHED.labels(row["topic"]).inc()
            elif isinstance(outcome, InvalidArgument):
                await connection.execute(REFUSE, row["id"], outcome.message)
                log.error("outbox_row_refused", id=row["id"], topic=row["topic"], error=outcome.message)


def by_topic(rows: Iterable[Any]) -> Mapping[str, list[Any]]:
    """
    Return *rows* by their topic, in their order.
    """
    result: dict[str, list[Any]] = {}
    for row in rows:
        result.setdefault(row["topic"], []).append(row)
    return result


def waves(rows: Iterable[Any]) -> list[list[Any]]:
    """
    Split *rows* of a topic into rounds without two rows of the same key, in their order.

    Each round waits for the one before, so a failed row is never overtaken by a later one of its key.
    """
    result: list[list[Any]] = []
    seen: Tally[bytes] = Tally()
    for row in rows:
        number = seen[row["key"]]
        seen[row["key"]] += 1
        if number == len(result):
            result.append([])
        result[number].append(row)
    return result


def _record(row: Any) -> Record:
    return Record(row["topic"], row["key"], row["value"], json.loads(row["headers"]))
