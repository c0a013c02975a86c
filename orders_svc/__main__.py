"""
The orders service.

    python -m orders_svc             serve
    python -m orders_svc migrate     create or change the schema and the Kafka topics

The only place that builds and wires the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sysconfig
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import structlog
import tenacity
from shop.inventory.v1 import inventory_service_pb2_grpc
from shop.orders.v1 import allocation_service_pb2_grpc, order_service_pb2_grpc

from orders_svc import rows, saga, store
from orders_svc.allocation import Allocations
from orders_svc.api import AllocationService, OrderService
from orders_svc.checkout import Checkout
from orders_svc.inventory import MeshInventory
from orders_svc.listing import Listing
from orders_svc.settings import DOMAIN, Settings
from orders_svc.store import Store
from orders_svc.watch import Hub
from runtime import channel, database, kafka, telemetry
from runtime.errors import Error
from runtime.outbox import Notifier, Relay
from runtime.server import Server, run
from runtime.settings import load

SCHEMA = Path(__file__).parent / "schema"
SERVICES = ("shop.orders.v1.OrderService", "shop.orders.v1.AllocationService")
PARTITIONS = 8
PRUNE_EVERY_S = 60.0
MOST_PRUNINGS = 100
log = structlog.get_logger()


def main() -> None:
    """
    Do what the command line says.
    """
    options = argparse.ArgumentParser(prog="orders_svc", description="The orders service.")
    options.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    command = options.parse_args().command
    settings = load(Settings)
    if command == "migrate":
        migrate(settings)
    else:
        run(lambda: serve(settings))


async def serve(settings: Settings) -> None:
    """
    Build the service and serve until SIGTERM.
    """
    telemetry.start(settings, "orders")
    pool = await database.connect(settings.database_url.get_secret_value(), most=settings.database_connections)
    mesh = channel.connect(settings.inventory_address, authority=settings.inventory_authority)
    async with kafka.Publisher(settings.kafka_brokers, client_id=settings.pod_name) as publisher:
        notifier = Notifier(pool)
        orders = Store(pool, notifier)
        inventory = MeshInventory(
            inventory_service_pb2_grpc.InventoryServiceStub(mesh), timeout_s=settings.hold_timeout_s
        )
        checkout = Checkout(orders, inventory, hold_timeout_s=settings.hold_timeout_s)
        hub = Hub(pool, orders, channel=store.CHANGES, most=settings.most_watchers)
        path = saga.stages(settings.saga_retry_delays_s)
        finisher = saga.Saga(orders, inventory, publisher, path, give_up_s=settings.saga_give_up_s)
        listing = Listing(orders, settings.page_key())
        server = Server(
            settings,
            domain=DOMAIN,
            services=SERVICES,
            servicers=[
                (order_service_pb2_grpc.add_OrderServiceServicer_to_server, OrderService(checkout, listing, hub)),
                (
                    allocation_service_pb2_grpc.add_AllocationServiceServicer_to_server,
                    AllocationService(Allocations(pool)),
                ),
            ],
            tasks={
                "outbox relay": Relay(pool, publisher).run(),
                "notifier": notifier.run(),
                "watch": hub.run(),
                "prune": every(PRUNE_EVERY_S, lambda: prune(orders)),
                **{f"saga {stage.topic}": consume(settings, finisher, stage) for stage in path},
            },
        )
        try:
            await server.run()
        finally:
            await checkout.finish()
    await mesh.close()
    await pool.close()


async def consume(settings: Settings, finisher: saga.Saga, stage: saga.Stage) -> None:
    """
    Feed one stage of the saga, for ever; what can't be put aside is delivered again.

    Each stage has a group of its own, so that one that waits holds up no other's rebalance.
    """
    group = f"orders-saga{stage.topic.removeprefix(saga.PENDING_ORDERS)}"
    while True:
        try:
            await kafka.consume(
                settings.kafka_brokers,
                group=group,
                topics=[stage.topic],
                handle=finisher.handler(stage),
                client_id=settings.pod_name,
            )
        except* Error as errors:
            log.warning("a delivery failed and comes again", topic=stage.topic, error=str(errors.exceptions[0]))
        await asyncio.sleep(1)


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
    names = [stage.topic for stage in saga.stages(settings.saga_retry_delays_s)]
    topics = [rows.ORDER_EVENTS, *names, saga.DEAD]
    kafka.ensure_topics(settings.kafka_brokers, [kafka.Topic(name, PARTITIONS) for name in topics])


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(subprocess.CalledProcessError),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=3),
    stop=tenacity.stop_after_attempt(5),
    reraise=True,
)
def apply_migrations(url: str) -> None:
    """
    Apply the migrations that are missing, one replica at a time.
    """
    dbmate = Path(sysconfig.get_path("scripts")) / "dbmate"
    command = [
        str(dbmate),
        "--no-dump-schema",
        "--wait",
        "--wait-timeout",
        "60s",
        "--migrations-dir",
        str(SCHEMA),
        "up",
    ]
    subprocess.run(command, check=True, env={"DATABASE_URL": _for_dbmate(url)})


def _for_dbmate(url: str) -> str:
    """
    Return *url* for dbmate: told that there is no TLS on loopback or in the mesh, and one port for all hosts.
    """
    parts = urlsplit(url)
    query = {"sslmode": "disable", **dict(parse_qsl(parts.query))}
    user, at, hosts = parts.netloc.rpartition("@")
    # dbmate takes several hosts only in the form HOST,HOST:PORT.
    port = hosts.rpartition(":")[2]
    hosts = hosts.replace(f":{port},", ",")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{hosts}", query=urlencode(query)))


if __name__ == "__main__":
    main()
