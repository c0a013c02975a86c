"""Inventory's Kafka consumers, and the wrappers of each handler, the outermost first."""

from __future__ import annotations

from inventory_svc.events import OrderEvents
from inventory_svc.ledger_follower import LedgerEntries
from inventory_svc.topics import DEAD_EVENTS, EVENTS_GROUP, LEDGER_GROUP
from runtime.messaging.dead_lettering import Publishes, dead_lettered
from runtime.messaging.message import Handler
from runtime.messaging.wrappers import PATIENCE_S, chain, measured, retried, traced


def order_events(handler: OrderEvents, publisher: Publishes, *, patience_s: float = PATIENCE_S) -> Handler:
    """
    Return the consumer of order events; permanently failing ones are dead-lettered.
    """
    return chain(
        handler.handle,
        measured(EVENTS_GROUP),
        retried(EVENTS_GROUP, patience_s=patience_s),
        dead_lettered(publisher, DEAD_EVENTS.name),
        traced("take effect of order events"),
    )


def ledger_entries(handler: LedgerEntries, publisher: Publishes) -> Handler:
    """
    Return the follower of the ledger; invalid entries stay there, logged and counted.
    """
    return chain(
        handler.handle,
        measured(LEDGER_GROUP),
        retried(LEDGER_GROUP),
        dead_lettered(publisher, to=None),
    )
