"""The background tasks: recovery, consumers, the relay, and periodic work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from inventory_svc import audit, fullness
from inventory_svc.consumers import ledger_entries, order_events
from inventory_svc.events import OrderEvents
from inventory_svc.leases import Leases
from inventory_svc.ledger_follower import LedgerEntries
from inventory_svc.recovery import StockRecovery
from inventory_svc.relay import Relay
from inventory_svc.settings import Settings
from inventory_svc.topics import EVENTS_GROUP, LEDGER, LEDGER_GROUP, ORDER_EVENTS
from inventory_svc.wiring import Parts
from runtime.background import Work
from runtime.messaging.consumer import consume


def background(settings: Settings, parts: Parts, on_ready: Callable[[bool], Awaitable[None]]) -> dict[str, Work]:
    """
    Return the background tasks by name; *on_ready* is called with whether there is a stock to serve.
    """
    recovery = StockRecovery(
        parts.data,
        parts.current,
        parts.rebuild,
        parts.ledger,
        parts.orders,
        on_ready=on_ready,
        every_s=settings.look_s,
    )
    return {
        "recovery": recovery.run,
        "secrets": parts.secrets,
        "leases": Leases(parts.store, parts.orders, parts.current, every_s=settings.look_s).run,
        "relay": Relay(parts.waiting, parts.publisher).run,
        "audit": partial(audit.audit_regularly, parts.store, every_s=settings.audit_s),
        "fullness": partial(fullness.watch, parts.redis),
        "forgetting": partial(audit.forget_regularly, parts.store, every_s=settings.audit_s),
        **consumers(settings, parts),
    }


def consumers(settings: Settings, parts: Parts) -> dict[str, Work]:
    """
    Return the consumers of Kafka's topics.
    """
    joined = partial(consume, settings.kafka, client_id=settings.pod_name)
    events = order_events(OrderEvents(parts.inventory), parts.publisher)
    ledger = ledger_entries(LedgerEntries(parts.store), parts.publisher)
    return {
        "order events": partial(joined, group=EVENTS_GROUP, topics=[ORDER_EVENTS], handle=events),
        "ledger": partial(joined, group=LEDGER_GROUP, topics=[LEDGER.name], handle=ledger),
    }
