"""The background tasks: consumers, the relay, and periodic work."""

from __future__ import annotations

import asyncio
from functools import partial

from prometheus_client import Gauge

from orders_svc import saga
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
PRUNE_EVERY_S = 60.0
PRUNE_PAUSE_S = 0.1
MAX_PRUNINGS = 100
MEASURE_EVERY_S = 5.0


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
    Prune old request ids in small batches, and measure how old the oldest one is then.
    """
    for _ in range(MAX_PRUNINGS):
        if not await orders.prune_keys():
            break
        await asyncio.sleep(PRUNE_PAUSE_S)
    OLDEST_KEY.set(await orders.oldest_key_s())
