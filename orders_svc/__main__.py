"""
The orders service.

    python -m orders_svc             serve
    python -m orders_svc migrate     create or change the schema and the Kafka topics
    python -m orders_svc reconcile   compare orders, holds, events and stock; exit 1 if differences are left
    python -m orders_svc redrive     send dead letters and refused outbox rows on their way again

The only place that builds and wires the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import structlog
from shop.inventory.v1 import inventory_service_pb2_grpc
from shop.orders.v1 import allocation_service_pb2_grpc, operations_service_pb2_grpc, order_service_pb2_grpc

from orders_svc import dead_letters, rows, saga, store
from orders_svc.allocation import Allocations
from orders_svc.api import AllocationService, OrderService
from orders_svc.backlog import BacklogMonitor, redrive_rows
from orders_svc.breaker import Breaker
from orders_svc.checkout import Checkout
from orders_svc.consumers import pending_orders
from orders_svc.inventory import MeshInventory, MeshStock
from orders_svc.listing import Listing
from orders_svc.operations import OperationsService
from orders_svc.reconcile import Reconciler
from orders_svc.settings import DOMAIN, Settings
from orders_svc.store import Store
from orders_svc.watch import Subscriptions
from runtime import channel, database, telemetry
from runtime.background import Work
from runtime.errors import Error
from runtime.messaging.consumer import consume
from runtime.messaging.group_lag import GroupLags
from runtime.messaging.publisher import Publisher
from runtime.messaging.redrive import Redrive
from runtime.messaging.relay import Relay
from runtime.messaging.topics import Topic, ensure_topics, put_aside_topic
from runtime.notifier import Notifier
from runtime.server import Server, run
from runtime.settings import load

SCHEMA = Path(__file__).parent / "schema"
SERVICES = (
    "shop.orders.v1.OrderService",
    "shop.orders.v1.AllocationService",
    "shop.orders.v1.OperationsService",
)
PARTITIONS = 8
PRUNE_EVERY_S = 60.0
MEASURE_EVERY_S = 5.0
CLOSE_S = 5.0
MOST_REDRIVEN = 10_000
MIGRATION_S = 300
INSIST_ON_TLS = ("require", "verify-ca", "verify-full")
MOST_PRUNINGS = 100
log = structlog.get_logger()


def main() -> None:
    """
    Do what the command line says.
    """
    options = argparse.ArgumentParser(prog="orders_svc", description="The orders service.")
    options.add_argument("command", nargs="?", choices=["serve", "migrate", "reconcile", "redrive"], default="serve")
    options.add_argument("--only-look", action="store_true", help="reconcile: repair nothing")
    chosen = options.parse_args()
    settings = load(Settings)
    if chosen.command == "migrate":
        migrate(settings)
    elif chosen.command == "reconcile":
        sys.exit(asyncio.run(reconcile(settings, only_look=chosen.only_look)))
    elif chosen.command == "redrive":
        asyncio.run(redrive(settings))
    else:
        run(lambda: serve(settings))


@dataclass
class Parts:
    """What the commands have in common, built from the settings."""

    pool: asyncpg.Pool
    publisher: Publisher
    notifier: Notifier
    orders: Store
    inventory: MeshInventory
    finisher: saga.Saga
    path: list[saga.Stage]
    reconciler: Reconciler


@asynccontextmanager
async def built(settings: Settings) -> AsyncIterator[Parts]:
    """
    Build the parts, and close what they hold open in the end.
    """
    async with AsyncExitStack() as stack:
        pool = await database.connect(settings.database_url.get_secret_value(), most=settings.database_connections)
        stack.push_async_callback(close, pool)
        mesh = channel.connect(settings.inventory_address, authority=settings.inventory_authority)
        stack.push_async_callback(mesh.close)
        publisher = await stack.enter_async_context(Publisher(settings.kafka_brokers, client_id=settings.pod_name))
        stub = inventory_service_pb2_grpc.InventoryServiceStub(mesh)
        path = saga.stages(settings.saga_retry_delays_s)
        notifier = Notifier(pool)
        orders = Store(pool, notifier)
        inventory = MeshInventory(stub, Breaker(settings.inventory_authority), timeout_s=settings.hold_timeout_s)
        finisher = saga.Saga(orders, inventory, path, give_up_s=settings.saga_give_up_s)
        reconciler = Reconciler(pool, MeshStock(stub), finisher.finish, settle_s=settings.settle_s)
        yield Parts(pool, publisher, notifier, orders, inventory, finisher, path, reconciler)


async def close(pool: asyncpg.Pool) -> None:
    """
    Close *pool*, and do not wait for longer than `CLOSE_S` for what is still at work.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(pool.close(), CLOSE_S)


async def serve(settings: Settings) -> None:
    """
    Build the service and serve until SIGTERM.
    """
    telemetry.start(settings, "orders")
    async with built(settings) as parts:
        checkout = Checkout(parts.orders, parts.inventory, hold_timeout_s=settings.hold_timeout_s)
        subscriptions = Subscriptions(parts.pool, parts.orders, channel=store.CHANGES, most=settings.most_watchers)
        redriving = make_redrive(settings, parts.publisher)
        backlog_monitor = BacklogMonitor(parts.pool, GroupLags(settings.kafka_brokers), parts.path)
        operations = OperationsService(backlog_monitor, redriving, parts.reconciler, lambda: redrive_rows(parts.pool))
        orders = OrderService(
            checkout, Listing(parts.orders, settings.page_key()), subscriptions, max_watch_s=settings.max_watch_s
        )
        server = Server(
            settings,
            domain=DOMAIN,
            services=SERVICES,
            servicers=[
                (order_service_pb2_grpc.add_OrderServiceServicer_to_server, orders),
                (
                    allocation_service_pb2_grpc.add_AllocationServiceServicer_to_server,
                    AllocationService(Allocations(parts.pool)),
                ),
                (operations_service_pb2_grpc.add_OperationsServiceServicer_to_server, operations),
            ],
            work=background(settings, parts, subscriptions, backlog_monitor),
            on_drain=subscriptions.end,
        )
        try:
            await server.run()
        finally:
            await checkout.finish()


def background(
    settings: Settings, parts: Parts, subscriptions: Subscriptions, backlog_monitor: BacklogMonitor
) -> dict[str, Work]:
    """
    Return what runs beside the server, by name.
    """
    return {
        "outbox relay": Relay(parts.pool, parts.publisher).run,
        "notifier": parts.notifier.run,
        "watch": subscriptions.run,
        "prune": partial(every, PRUNE_EVERY_S, lambda: prune(parts.orders)),
        "measure": partial(every, MEASURE_EVERY_S, backlog_monitor.measure),
        "reconcile": partial(every, settings.reconcile_every_s, parts.reconciler.run_alone),
        **{f"saga {stage.topic}": consumer(settings, parts, stage) for stage in parts.path},
    }


async def reconcile(settings: Settings, *, only_look: bool) -> int:
    """
    Reconcile once and print what was met; return 1 if something is left, else 0.
    """
    async with built(settings) as parts:
        telling = asyncio.create_task(parts.notifier.run())
        try:
            report = await parts.reconciler.run(only_look=only_look, deep=True)
        except Error as error:
            sys.exit(f"reconcile: {error.message}")
        finally:
            telling.cancel()
    for each in report.discrepancies:
        done = "repaired" if each.repaired else "LEFT"
        sys.stdout.write(f"{done:8} {each.kind:20} {each.subject}  {each.detail}\n")
    sys.stdout.write(
        f"{report.orders} orders and {report.holds} holds compared; "
        f"{report.repaired} differences repaired, {report.unrepaired} left\n"
    )
    return 1 if report.unrepaired else 0


async def redrive(settings: Settings) -> None:
    """
    Send what operators are asked about on its way again, and print how much that was.
    """
    async with AsyncExitStack() as stack:
        pool = await database.connect(settings.database_url.get_secret_value(), most=1)
        stack.push_async_callback(close, pool)
        publisher = await stack.enter_async_context(Publisher(settings.kafka_brokers, client_id=settings.pod_name))
        try:
            done = await make_redrive(settings, publisher).run(MOST_REDRIVEN)
            rows_again = await redrive_rows(pool)
        except Error as error:
            sys.exit(f"redrive: {error.message}")
    for topic, sent in done.sent.items():
        sys.stdout.write(f"{topic}: {sent} dead letters sent back, {done.passed_over[topic]} passed over\n")
    sys.stdout.write(f"{rows_again} outbox rows given to Kafka once more\n")


def make_redrive(settings: Settings, publisher: Publisher) -> Redrive:
    """
    Return what sends the dead letters of both services back.
    """
    return Redrive(settings.kafka_brokers, publisher, dead_letters.SOURCES, group=dead_letters.GROUP)


def consumer(settings: Settings, parts: Parts, stage: saga.Stage) -> Work:
    """
    Return what feeds one stage of the saga, for ever.
    """
    return partial(
        consume,
        settings.kafka_brokers,
        group=saga.group_of(stage),
        topics=[stage.topic],
        handle=pending_orders(parts.finisher, stage, parts.publisher),
        client_id=settings.pod_name,
    )


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """
    Do *work* again and again; an `Error` is logged and the next time comes.
    """
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Error as error:
            log.warning("regular work failed", error=error.message)


async def prune(orders: Store) -> None:
    """
    Forget request ids that are old enough, in small batches.
    """
    for _ in range(MOST_PRUNINGS):
        if not await orders.prune_keys():
            return
        await asyncio.sleep(0.1)


def migrate(settings: Settings) -> None:
    """
    Bring the schema and the Kafka topics to what this version needs; repeating it changes nothing.
    """
    apply_migrations(settings.database_url.get_secret_value())
    names = [stage.topic for stage in saga.stages(settings.saga_retry_delays_s)[1:]]
    topics = [
        Topic(rows.ORDER_EVENTS, PARTITIONS),
        Topic(saga.PENDING_ORDERS, PARTITIONS),
        *(put_aside_topic(name, partitions=PARTITIONS) for name in (*names, saga.DEAD)),
    ]
    ensure_topics(settings.kafka_brokers, topics)


def apply_migrations(url: str) -> None:
    """
    Apply the migrations that are missing; of several replicas at a time dbmate lets one do it.
    """
    dbmate = Path(sysconfig.get_path("scripts")) / "dbmate"
    command = [str(dbmate), "--no-dump-schema", "--wait", "--migrations-dir", str(SCHEMA), "up"]
    environment = {"DATABASE_URL": asyncio.run(url_of_primary(url))}
    subprocess.run(command, check=True, env=environment, timeout=MIGRATION_S)


async def url_of_primary(url: str) -> str:
    """
    Return *url* for dbmate, which takes but one host: of several, the primary, which is waited for.

    Its driver encrypts unless told not to, so what does not insist on TLS says so.
    """
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    tls = {name: value for name, value in parse_qsl(parts.query) if name.startswith("ssl")}
    if tls.get("sslmode") not in INSIST_ON_TLS:
        tls = {"sslmode": "disable"}
    host = await database.host_of_primary(url) if "," in hosts else hosts
    return urlunsplit(parts._replace(netloc=f"{user}@{host}", query=urlencode(tls)))


if __name__ == "__main__":
    main()
