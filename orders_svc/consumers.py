"""The Kafka consumers of orders, and the wrappers of each handler, the outermost first."""

from __future__ import annotations

from functools import partial

from orders_svc.saga import Saga, Stage, group_of
from runtime.messaging.dead_lettering import Publishes, dead_lettered
from runtime.messaging.message import Handler
from runtime.messaging.wrappers import PATIENCE_S, chain, concurrently, measured, retried, traced

# The orders of one batch that are processed concurrently.
WIDTH = 64


def pending_orders(saga: Saga, stage: Stage, publisher: Publishes, *, patience_s: float = PATIENCE_S) -> Handler:
    """
    Return the consumer of *stage*; failed messages move on to the next stage.
    """
    group = group_of(stage)
    return chain(
        saga.handle,
        measured(group),
        retried(group, patience_s=patience_s),
        dead_lettered(publisher, partial(saga.next_topic, stage), onward=stage.delay_s > 0),
        saga.delayed(stage),
        concurrently(WIDTH),
        traced("finish pending order"),
    )
