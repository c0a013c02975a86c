"""Builds the parts of the service from its settings, and closes what they opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import asyncpg
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from orders_svc import dead_letters, saga
from orders_svc.archive import Archive
from orders_svc.breaker import Breaker
from orders_svc.inventory_client import MeshInventory, MeshStock
from orders_svc.operations_store import OperationsStore
from orders_svc.reconcile import Reconciler
from orders_svc.settings import Settings
from orders_svc.store import Store
from runtime import channel, database
from runtime.background import Work
from runtime.messaging.publisher import Publisher
from runtime.messaging.redrive import Redrive
from runtime.notifier import Notifier
from runtime.page_token import Keys
from runtime.secret_file import watch
from runtime.settings import secret

CLOSE_S = 5.0


@dataclass
class Parts:
    """The parts that the commands share."""

    pool: asyncpg.Pool
    publisher: Publisher
    notifier: Notifier
    orders: Store
    books: OperationsStore
    archive: Archive
    inventory: MeshInventory
    stock: MeshStock
    finisher: saga.Saga
    path: list[saga.Stage]
    reconciler: Reconciler
    redrive: Redrive
    page_keys: Keys
    secrets: Work


@asynccontextmanager
async def built(settings: Settings) -> AsyncIterator[Parts]:
    """
    Build the parts, and close what they opened at the end.
    """
    async with AsyncExitStack() as stack:
        url = settings.database_url.get_secret_value()
        password = secret(settings.database_password_file, "postgres")
        keys = secret(settings.page_token_key_file, "page-token")
        pool = await database.connect(
            url, password=password, role=settings.database_role, max_connections=settings.database_connections
        )
        stack.push_async_callback(close, pool)
        mesh = channel.connect(settings.inventory_address, authority=settings.inventory_authority)
        stack.push_async_callback(mesh.close)
        publisher = await stack.enter_async_context(Publisher(settings.kafka, client_id=settings.pod_name))
        stub = InventoryServiceStub(mesh)
        path = saga.stages(settings.saga_retry_delays_s)
        notifier = Notifier(pool)
        orders, books, stock = Store(pool, notifier, replica=settings.pod_name), OperationsStore(pool), MeshStock(stub)
        inventory = MeshInventory(stub, Breaker(settings.inventory_authority), timeout_s=settings.hold_timeout_s)
        finisher = saga.Saga(orders, inventory, path, give_up_s=settings.saga_give_up_s)
        reconciler = Reconciler(books, stock, finisher.finish, settle_s=settings.settle_s)
        redrive = Redrive(settings.kafka, publisher, dead_letters.SOURCES, group=dead_letters.GROUP)
        reactions = {password: pool.expire_connections, keys: None}
        yield Parts(
            pool,
            publisher,
            notifier,
            orders,
            books,
            Archive(pool, settings.orders_kept_days, settings.archive_kept_days),
            inventory,
            stock,
            finisher,
            path,
            reconciler,
            redrive,
            settings.page_keys(keys, store_url=url, purpose=b"orders page token"),
            partial(watch, {secret: react for secret, react in reactions.items() if secret is not None}),
        )


async def close(pool: asyncpg.Pool) -> None:
    """
    Close *pool*, and wait at most `CLOSE_S` for running work.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(pool.close(), CLOSE_S)
