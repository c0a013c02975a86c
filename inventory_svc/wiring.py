"""Builds the parts of the service from its settings, and closes what they opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis

from inventory_svc.connection import connect, log_in_anew
from inventory_svc.generation import CurrentGeneration
from inventory_svc.history import WholeHistory
from inventory_svc.holds import Inventory
from inventory_svc.ledger import Ledger
from inventory_svc.marker import StockMarker
from inventory_svc.orders_client import MeshOrders
from inventory_svc.present import PresentStock
from inventory_svc.rebuild import Rebuild
from inventory_svc.relay import WAIT_MS
from inventory_svc.scripts import Scripts
from inventory_svc.settings import Settings
from inventory_svc.staging import Staging
from inventory_svc.store import Limits, Store
from runtime import channel
from runtime.background import Work
from runtime.clock import now_ms
from runtime.messaging.publisher import Publisher
from runtime.page_token import Keys
from runtime.secret_file import watch
from runtime.settings import secret


@dataclass
class Parts:
    """The parts that the server and background tasks share; *waiting* is a Redis client without a short timeout."""

    redis: Redis
    waiting: Redis
    publisher: Publisher
    current: CurrentGeneration
    store: Store
    data: StockMarker
    ledger: Ledger
    orders: MeshOrders
    inventory: Inventory
    rebuild: Rebuild
    page_keys: Keys
    secrets: Work


@asynccontextmanager
async def built(settings: Settings) -> AsyncIterator[Parts]:
    """
    Build the parts, and close what they opened at the end.
    """
    async with AsyncExitStack() as stack:
        url, patience_s = settings.redis_url, settings.redis_connect_timeout_s
        password = secret(settings.redis_password_file, "redis")
        keys = secret(settings.page_token_key_file, "page-token")
        redis = await stack.enter_async_context(
            connect(url, password=password, connect_timeout_s=patience_s, timeout_s=settings.redis_timeout_s)
        )
        # The relay blocks for events, so its connection has a longer timeout.
        waiting = await stack.enter_async_context(
            connect(
                url,
                password=password,
                connect_timeout_s=patience_s,
                timeout_s=WAIT_MS / 1000 + 2,
                max_connections=2,
            )
        )
        mesh = channel.connect(settings.orders_address, authority=settings.orders_authority)
        stack.push_async_callback(mesh.close)
        publisher = await stack.enter_async_context(Publisher(settings.kafka, client_id=settings.pod_name))
        current = CurrentGeneration()
        scripts = Scripts(redis, current)
        store = Store(scripts, current, limits(settings))
        ledger = Ledger(publisher, settings.kafka, now_ms=now_ms)
        orders = MeshOrders(mesh)
        inventory = Inventory(store, ledger, orders, current)
        rebuild = Rebuild(partial(Staging, redis, scripts), WholeHistory(ledger, PresentStock(redis)), orders)
        reactions = {password: partial(log_in_anew, redis), keys: None}
        yield Parts(
            redis,
            waiting,
            publisher,
            current,
            store,
            StockMarker(redis),
            ledger,
            orders,
            inventory,
            rebuild,
            settings.page_keys(keys, store_url=url, purpose=b"inventory page token"),
            partial(watch, {secret: react for secret, react in reactions.items() if secret is not None}),
        )


def limits(settings: Settings) -> Limits:
    """
    Return the retention times and limits of *settings*.
    """
    return Limits(
        lease_ms=int(settings.lease_s * 1000),
        grace_ms=int(settings.lease_grace_s * 1000),
        keep_ms=int(settings.hold_keep_s * 1000),
        max_backlog=settings.max_events_backlog,
        max_remembered=settings.max_remembered,
    )
