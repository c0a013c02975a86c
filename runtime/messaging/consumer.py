"""
Consuming from Kafka with commits after the effect.

librdkafka does the work, in threads: a call into it may hang, so every wait has a limit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import confluent_kafka
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.aio import AIOConsumer
from prometheus_client import Counter

from runtime.messaging import consumer_lag
from runtime.messaging.cluster import KafkaCluster, Options
from runtime.messaging.message import Handler, Message, message_of
from runtime.messaging.topic_ids import TopicIds, asking
from runtime.messaging.wrappers import TRANSIENT

Anything = TypeVar("Anything")
RESTARTS = Counter("consumer_restarts", "Times that a consumer left its group and restarted.", ["group"])
RECREATED = Counter(
    "consumer_topics_recreated",
    "Topics that were deleted and made again while a consumer of the group ran, as this replica saw them.",
    ["group"],
)
log = structlog.get_logger()
COMMIT_S = 10.0
"""For committing offsets; it may wait for a rebalance that only progresses while a member consumes."""
LEAVE_S = 8.0
"""For leaving a group; a request that the coordinator holds back during a rebalance takes 5 s."""
COMMITTED_S = 5.0
"""For reading what was committed."""
RESTART_S = 1.0
THREADS = 4
"""Threads of a consumer: one in use, the others for when a call into librdkafka hangs."""
THREAD_PREFIX = "kafka-consumer-"
_left_open: list[tuple[str, AIOConsumer]] = []


async def consume(
    kafka: KafkaCluster,
    *,
    group: str,
    topics: Sequence[str],
    handle: Handler,
    client_id: str,
    max_batch: int = 200,
    poll_s: float = 0.5,
) -> None:
    """
    Hand messages to *handle* in batches until cancelled; offsets are committed after the effect.

    Rebalances happen between batches only, so a partition moves with everything
    done and committed; after a crash uncommitted messages are redelivered. Whatever
    *handle* or Kafka raise is logged and counted, and the group is joined again, so
    the batch is redelivered: wrap *handle* in `dead_lettered`. It must return
    within 5 minutes, or the group gives its partitions to another member.

    A topic that is deleted and made again is read from its begin: offsets of the
    topic before, in memory or committed, count for nothing.
    """
    restarts = RESTARTS.labels(group)
    # Made at once, so that the alert sees the first one.
    RECREATED.labels(group)
    ids = TopicIds(asking(kafka, topics))
    session = partial(_session, kafka, group, topics, handle, client_id, max_batch, poll_s, ids)
    while True:
        try:
            await session()
        except TRANSIENT as error:
            _raise_if_cancelled(error)
            log.warning("consumer_restarts", group=group, topics=topics, error=str(error) or repr(error))
        except Exception as error:
            _raise_if_cancelled(error)
            log.exception("consumer_restarts", group=group, topics=topics)
        restarts.inc()
        await asyncio.sleep(RESTART_S)


def _raise_if_cancelled(error: Exception) -> None:
    """
    Raise `CancelledError` if *error* occurred during a cancellation.
    """
    if _is_cancelled():
        raise asyncio.CancelledError from error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _session(
    kafka: KafkaCluster,
    group: str,
    topics: Sequence[str],
    handle: Handler,
    client_id: str,
    max_batch: int,
    poll_s: float,
    ids: TopicIds,
) -> None:
    """
    Consume as one member of the group, until a topic was made again.
    """
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix=f"{THREAD_PREFIX}{group}")
    login = kafka.login()

    async def failed(error: confluent_kafka.KafkaError) -> None:
        login.failed(error)

    options = login.options(_own_options(group, client_id) | {"error_cb": failed})
    consumer = AIOConsumer(options, executor=executor)
    try:
        _say(await ids.look(), group)
        await consumer.subscribe(list(topics), on_assign=partial(_start, ids))
        with ids.watch() as recreated:
            while not _say(recreated(), group):
                await _consume_batch(consumer, handle, max_batch, poll_s, ids)
                if (credentials := login.changed()) is not None:
                    await consumer.set_sasl_credentials(*credentials)
    finally:
        await asyncio.shield(_leave(consumer, group, for_good=_is_cancelled()))
        executor.shutdown(wait=False)


def _say(recreated: Mapping[str, str], group: str) -> bool:
    """
    Log and count the topics that were made again, and return whether there are any.
    """
    for topic, topic_id in recreated.items():
        log.error("topic_recreated", group=group, topic=topic, topic_id=topic_id)
        RECREATED.labels(group).inc()
    return bool(recreated)


async def _start(ids: TopicIds, consumer: AIOConsumer, partitions: list[confluent_kafka.TopicPartition]) -> None:
    """
    Start *partitions*, just assigned, at their committed offsets, or at the begin of a topic that was made again.
    """
    committed = await consumer.committed(partitions, timeout=COMMITTED_S)
    await consumer.incremental_assign(ids.started(committed))


async def _leave(consumer: AIOConsumer, group: str, *, for_good: bool) -> None:
    """
    Revoke the partitions, then close; everything that was processed is committed already.

    Closing in the middle of a rebalance has been seen never to return
    (librdkafka issue 4527), so the rebalance is served first and the wait is limited.
    At the end of the process, *for_good*, a consumer that could not be closed is kept:
    its destructor has been seen never to return after a member was killed (librdkafka
    issue 4674), and would hold up the end. Before a restart it is released, since it
    would keep its partitions for as long as it lives.
    """
    try:
        async with asyncio.timeout(LEAVE_S):
            await consumer.unsubscribe()
            while await consumer.assignment():
                await consumer.consume(1, 0.1)
            await consumer.close()
    except (TimeoutError, KafkaException) as error:
        log.warning("consumer_left_open", group=group, error=str(error) or repr(error))
        if for_good:
            _left_open.append((group, consumer))


def left_open() -> list[str]:
    """
    Return the groups whose consumers could not be closed at the end of the process.
    """
    return [group for group, _ in _left_open]


def stuck_threads(*, wait_s: float) -> list[str]:
    """
    Return the threads of consumers that have not ended after *wait_s*, once all consumers were left.
    """
    end = time.monotonic() + wait_s
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]


def _own_options(group: str, client_id: str) -> Options:
    return {
        "stats_cb": consumer_lag.reporter(group),
        "statistics.interval.ms": consumer_lag.INTERVAL_MS,
        "group.id": group,
        "client.id": client_id,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 2_000,
        "max.poll.interval.ms": 300_000,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.max.ms": 1000,
        "queued.max.messages.kbytes": 16_384,
        "log_level": 3,
    }


async def _consume_batch(consumer: AIOConsumer, handle: Handler, limit: int, poll_s: float, ids: TopicIds) -> None:
    received = await _to_its_end(consumer.consume(limit, poll_s), limit_s=poll_s + LEAVE_S)
    messages = [message_of(each) for each in received if each.error() is None]
    for each in received:
        if each.error() is not None:
            log.warning("kafka_reports_error", error=each.error().str())
    if not messages:
        return
    await handle(messages)
    await _commit(consumer, messages, ids)


async def _to_its_end(call: Coroutine[Any, Any, Anything], *, limit_s: float) -> Anything:
    """
    Return what *call* returns within *limit_s*; a cancelled caller waits for that first.

    It runs in a thread that no cancellation reaches, and closing the consumer while a thread is in it may hang. Raises
    `TimeoutError` after *limit_s*.
    """
    running = asyncio.ensure_future(call)
    waiting = asyncio.ensure_future(asyncio.wait([running], timeout=limit_s))
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await waiting
        raise
    if not running.done():
        raise TimeoutError
    return running.result()


async def _commit(consumer: AIOConsumer, messages: Sequence[Message], ids: TopicIds) -> None:
    """
    Commit past *messages*, with the topic's id; uncommitted ones are redelivered, and every effect is idempotent.
    """
    next_offsets = {(each.topic, each.partition): each.offset + 1 for each in messages}
    positions = [
        confluent_kafka.TopicPartition(topic, partition, offset, ids.mark(topic))
        for (topic, partition), offset in next_offsets.items()
    ]
    try:
        await _to_its_end(consumer.commit(offsets=positions, asynchronous=False), limit_s=COMMIT_S)
    except (KafkaException, TimeoutError) as error:
        log.warning("offsets_not_committed", error=repr(error))
    else:
        ids.committed(positions)
