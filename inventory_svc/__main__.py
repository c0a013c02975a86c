"""
Starts the inventory service, or prepares what it needs.

    python -m inventory_svc            serve until SIGTERM
    python -m inventory_svc migrate    create Kafka topics; list the example shop's products once
"""

from __future__ import annotations

import sys
import time
from contextlib import AsyncExitStack
from functools import partial

from shop.inventory.v1.inventory_service_pb2_grpc import add_InventoryServiceServicer_to_server

from inventory_svc import audit, catalogue, events, fullness
from inventory_svc.api import DOMAIN, SERVICE, InventoryApi
from inventory_svc.connection import connect
from inventory_svc.consumers import ledger_entries, order_events
from inventory_svc.events import OrderEvents
from inventory_svc.generation import CurrentGeneration
from inventory_svc.holds import Inventory
from inventory_svc.leases import Leases
from inventory_svc.ledger import EVENTS_TOPIC, TOPIC, Ledger, LedgerEntries
from inventory_svc.orders_client import MeshOrders
from inventory_svc.rebuild import Rebuild
from inventory_svc.recovery import StockRecovery
from inventory_svc.relay import WAIT_MS, Relay
from inventory_svc.scripts import Scripts
from inventory_svc.settings import Settings
from inventory_svc.stock import Receipt
from inventory_svc.store import Limits, Store
from runtime import channel, telemetry
from runtime.background import Work
from runtime.messaging.consumer import consume
from runtime.messaging.publisher import Publisher
from runtime.messaging.topics import ensure_topics
from runtime.server import Server, run
from runtime.settings import load

USAGE = "usage: python -m inventory_svc [migrate]"


def main() -> None:
    """
    Serve, or migrate.
    """
    arguments = sys.argv[1:]
    if arguments not in ([], ["migrate"]):
        sys.exit(USAGE)
    settings = load(Settings)
    if arguments:
        ensure_topics(settings.kafka_brokers, [TOPIC, EVENTS_TOPIC, events.DEAD])
        run(lambda: seed(settings))
    else:
        telemetry.start(settings, "inventory")
        run(lambda: serve(settings))


def now_ms() -> int:
    """
    Return the time in ms since 1970.
    """
    return time.time_ns() // 1_000_000


async def seed(settings: Settings) -> None:
    """
    List the example shop's products and their first stock, unless the ledger has them.
    """
    if not settings.seed_catalogue:
        return
    async with Publisher(settings.kafka_brokers, client_id=settings.pod_name, timeout_s=30) as publisher:
        ledger = Ledger(publisher, settings.kafka_brokers, now_ms=now_ms)
        written = await ledger.read()
        received = {entry.request for entry in written if isinstance(entry, Receipt)}
        listed = {entry[0].product for entry in written if not isinstance(entry, Receipt)}
        missing = [each for each in catalogue.LISTINGS if each.product not in listed]
        await ledger.record_listings(missing, catalogue.LISTED_MS)
        await ledger.record_receipts(each for each in catalogue.RECEIPTS if each.request not in received)


def limits(settings: Settings) -> Limits:
    """
    Return how long and how much is kept, as *settings* want it.
    """
    return Limits(
        lease_ms=int(settings.lease_s * 1000),
        grace_ms=int(settings.lease_grace_s * 1000),
        keep_ms=int(settings.hold_keep_s * 1000),
        max_backlog=settings.events_backlog_limit,
        max_remembered=settings.max_remembered,
    )


async def serve(settings: Settings) -> None:
    """
    Build everything, then serve until SIGTERM.
    """
    async with AsyncExitStack() as stack:
        url, patience_s = settings.redis_url, settings.redis_connect_timeout_s
        redis = await stack.enter_async_context(
            connect(url, connect_timeout_s=patience_s, timeout_s=settings.redis_timeout_s)
        )
        # The relay waits for events, so its connection must wait longer.
        waiting = await stack.enter_async_context(
            connect(url, connect_timeout_s=patience_s, timeout_s=WAIT_MS / 1000 + 2, most=2)
        )
        orders_channel = channel.connect(settings.orders_address, authority=settings.orders_authority)
        stack.push_async_callback(orders_channel.close)
        publisher = await stack.enter_async_context(Publisher(settings.kafka_brokers, client_id=settings.pod_name))
        current = CurrentGeneration()
        scripts = Scripts(redis, current)
        store = Store(scripts, current, limits(settings))
        ledger = Ledger(publisher, settings.kafka_brokers, now_ms=now_ms)
        orders = MeshOrders(orders_channel)
        inventory = Inventory(store, ledger, orders, current)
        recovery = StockRecovery(
            redis,
            current,
            Rebuild(redis, scripts, ledger, orders),
            ledger,
            orders,
            on_ready=lambda ready: server.set_ready(ready),
            every_s=settings.look_s,
        )
        server = Server(
            settings,
            domain=DOMAIN,
            services=[SERVICE],
            servicers=[(add_InventoryServiceServicer_to_server, InventoryApi(inventory, store))],
            work={
                "recovery": recovery.run,
                "leases": Leases(store, orders, current, every_s=settings.look_s).run,
                "relay": Relay(waiting, publisher).run,
                "audit": partial(audit.audit_regularly, store, every_s=settings.audit_s),
                "fullness": partial(fullness.watch, redis),
                "forgetting": partial(audit.forget_regularly, store, every_s=settings.audit_s),
                **consumers(settings, OrderEvents(inventory), LedgerEntries(store), publisher),
            },
            ready=False,
        )
        await server.run()


def consumers(settings: Settings, orders: OrderEvents, ledger: LedgerEntries, publisher: Publisher) -> dict[str, Work]:
    """
    Return what consumes Kafka's topics, for ever.
    """
    joined = partial(consume, settings.kafka_brokers, client_id=settings.pod_name)
    return {
        "order events": partial(
            joined, group=events.GROUP, topics=[events.ORDER_EVENTS], handle=order_events(orders, publisher)
        ),
        "ledger": partial(
            joined, group=events.LEDGER_GROUP, topics=[TOPIC.name], handle=ledger_entries(ledger, publisher)
        ),
    }


if __name__ == "__main__":
    main()
