"""The background tasks: consumers, the relay, and periodic work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from prometheus_client import Gauge

from orders_svc import saga
from orders_svc.archive import Archive
from orders_svc.backlog import BacklogMonitor
from orders_svc.consumers import pending_orders
from orders_svc.settings import Settings
from orders_svc.store import Store
from orders_svc.topics import ORDER_EVENTS, PENDING_ORDERS
from orders_svc.watch import Subscriptions
from orders_svc.wiring import Parts
from runtime.background import Work
from runtime.messaging.consumer import consume
from runtime.messaging.relay import Relay
from runtime.schedule import every

OLDEST_KEY = Gauge("orders_oldest_key_seconds", "Age of the oldest request id; older ones than a week are pruned.")
ARCHIVE_OVERDUE = Gauge(
    "orders_archive_overdue_seconds",
    "For how long the oldest order that is to be archived has been due; 0 without any.",
)
PRUNE_EVERY_S = 60.0
PRUNE_PAUSE_S = 0.1
MAX_PRUNINGS = 100
MEASURE_EVERY_S = 5.0
log = structlog.get_logger()


def background(
    settings: Settings, parts: Parts, subscriptions: Subscriptions, backlog_monitor: BacklogMonitor
) -> dict[str, Work]:
    """
    Return the background tasks by name.
    """
    return {
        "outbox relay": Relay(parts.pool, parts.publisher, topics=(ORDER_EVENTS, PENDING_ORDERS)).run,
        "notifier": parts.notifier.run,
        "secrets": parts.secrets,
        "watch": subscriptions.run,
        "prune": partial(every, PRUNE_EVERY_S, partial(prune, parts.orders)),
        "archive": partial(every, PRUNE_EVERY_S, partial(move_to_archive, parts.archive)),
        "forget": partial(every, PRUNE_EVERY_S, partial(forget_archived, parts.archive)),
        "measure": partial(every, MEASURE_EVERY_S, backlog_monitor.measure),
        "reconcile": partial(every, settings.reconcile_every_s, parts.reconciler.run_alone),
        **{f"saga {stage.topic}": consumer(settings, parts, stage) for stage in parts.path},
    }


def consumer(settings: Settings, parts: Parts, stage: saga.Stage) -> Work:
    """
    Return the consumer of one stage of the saga.
    """
    return partial(
        consume,
        settings.kafka,
        group=saga.group_of(stage),
        topics=[stage.topic],
        handle=pending_orders(parts.finisher, stage, parts.publisher),
        client_id=settings.pod_name,
    )


async def prune(orders: Store) -> None:
    """
    Prune old request ids in small batches, and measure how old the oldest one is then, also if pruning fails.
    """
    try:
        await _in_batches(orders.prune_keys)
    finally:
        OLDEST_KEY.set(await orders.oldest_key_s())


async def move_to_archive(archive: Archive) -> None:
    """
    Move old orders to the archive, and measure what is left to move, also if moving fails.
    """
    try:
        await _in_batches(archive.move)
    finally:
        ARCHIVE_OVERDUE.set(await archive.overdue_s())


async def forget_archived(archive: Archive) -> None:
    """
    Drop what is too old even for the archive; work of its own, since an order that cannot be moved stops the other.
    """
    await _in_batches(archive.forget)
    while month := await archive.drop_month():
        log.info("archive_month_dropped", month=month)


async def _in_batches(work: Callable[[], Awaitable[int]]) -> None:
    """
    Repeat *work*, which returns how much it did, until nothing is left, and `MAX_PRUNINGS` times at most.
    """
    for _ in range(MAX_PRUNINGS):
        if not await work():
            break
        await asyncio.sleep(PRUNE_PAUSE_S)
