"""
The orders service.

    python -m orders_svc             serve
    python -m orders_svc migrate     create or change the schema and the Kafka topics
    python -m orders_svc reconcile   compare orders, holds, events and stock; exit 1 if differences are left
    python -m orders_svc restored    after PostgreSQL was restored, before anything is served: see `rewind`
    python -m orders_svc redrive     send dead letters and refused outbox rows on their way again
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from shop.orders.v1 import allocation_service_pb2_grpc, operations_service_pb2_grpc, order_service_pb2_grpc

from orders_svc.allocation_store import AllocationStore
from orders_svc.api import AllocationService, OrderService
from orders_svc.backlog import BacklogMonitor
from orders_svc.changes import ChangeFeed
from orders_svc.checkout import Checkout
from orders_svc.customer_data import PLACE_BYTES as EXPORT_PLACE_BYTES
from orders_svc.customer_data import CustomerData
from orders_svc.customer_store import CustomerStore
from orders_svc.dead_letters import GROUP, SOURCES
from orders_svc.erase_again import erase_again, said, told_of
from orders_svc.listing import PLACE_BYTES, Listing
from orders_svc.migrations import migrate
from orders_svc.operations import OperationsService
from orders_svc.rewind import rewind
from orders_svc.saga import group_of
from orders_svc.schedule import background
from orders_svc.settings import DOMAIN, LISTED, SERVICES, Settings
from orders_svc.timeline import Timelines
from orders_svc.topics import EVENTS_GROUP, ORDER_EVENTS
from orders_svc.watch import Subscriptions
from orders_svc.wiring import built
from runtime import telemetry
from runtime.errors import Error
from runtime.messaging.group_lag import GroupLags
from runtime.messaging.offsets import pass_over
from runtime.messaging.published import PublishedMessages
from runtime.messaging.reader import messages_to_end, topic_starts_at
from runtime.messaging.waiting import WaitingMessages
from runtime.page_token import Keys, PageTokens
from runtime.server import Server, run
from runtime.settings import load

MAX_REDRIVEN = 10_000
READ_S = 60.0
# Of the clocks of PostgreSQL, which a restore's time is by, and of who wrote to Kafka.
CLOCKS_DIFFER = timedelta(minutes=1)
log = structlog.get_logger()


def main() -> None:
    """
    Do what the command line says.
    """
    options = argparse.ArgumentParser(prog="orders_svc", description="The orders service.")
    commands = ["serve", "migrate", "reconcile", "redrive", "restored"]
    options.add_argument("command", nargs="?", choices=commands, default="serve")
    options.add_argument("--only-look", action="store_true", help="reconcile: repair nothing")
    options.add_argument("--to", type=float, default=0, help="restored: up to when history counts, s since 1970")
    options.add_argument("--at", type=float, default=0, help="restored: when it was restored, s since 1970")
    chosen = options.parse_args()
    settings = load(Settings)
    if chosen.command == "migrate":
        migrate(settings)
    elif chosen.command == "reconcile":
        telemetry.quiet()
        sys.exit(asyncio.run(reconcile(settings, only_look=chosen.only_look)))
    elif chosen.command == "redrive":
        telemetry.quiet()
        asyncio.run(redrive(settings))
    elif chosen.command == "restored":
        asyncio.run(restored(settings, to=chosen.to, at=chosen.at))
    else:
        telemetry.start(settings, "orders")
        run(lambda: serve(settings))


async def serve(settings: Settings) -> None:
    """
    Build the service and serve until SIGTERM.
    """
    async with built(settings) as parts:
        checkout = Checkout(parts.orders, parts.inventory, hold_timeout_s=settings.hold_timeout_s)
        subscriptions = Subscriptions(ChangeFeed(parts.pool), parts.orders, max_watchers=settings.max_watchers)
        lags = GroupLags(settings.kafka)
        backlog_monitor = BacklogMonitor(parts.books, lags, parts.path)
        customers = _customer_data(CustomerStore(parts.pool), parts.page_keys)
        timelines = Timelines(
            parts.books,
            parts.stock,
            WaitingMessages(settings.kafka, lags),
            PublishedMessages(settings.kafka),
            lags,
            parts.path,
        )
        operations = OperationsService(
            backlog_monitor, parts.redrive, parts.reconciler, parts.books, timelines, customers
        )
        page_tokens = PageTokens(parts.page_keys, method="ListOrders", place_bytes=PLACE_BYTES)
        listing = Listing(parts.orders, page_tokens)
        orders = OrderService(
            checkout,
            listing,
            subscriptions,
            max_watch_s=settings.max_watch_s,
        )
        allocations = AllocationService(AllocationStore(parts.pool))
        server = Server(
            settings,
            domain=DOMAIN,
            services=SERVICES,
            listed=LISTED,
            servicers=[
                (order_service_pb2_grpc.add_OrderServiceServicer_to_server, orders),
                (allocation_service_pb2_grpc.add_AllocationServiceServicer_to_server, allocations),
                (operations_service_pb2_grpc.add_OperationsServiceServicer_to_server, operations),
            ],
            work=background(settings, parts, subscriptions, backlog_monitor),
            on_drain=subscriptions.end,
        )
        try:
            await server.run()
        finally:
            await checkout.finish()


def _customer_data(records: CustomerStore, keys: Keys) -> CustomerData:
    return CustomerData(records, PageTokens(keys, method="ExportCustomer", place_bytes=EXPORT_PLACE_BYTES))


async def reconcile(settings: Settings, *, only_look: bool) -> int:
    """
    Reconcile once and print the result; return 1 if differences are left, else 0.
    """
    async with built(settings) as parts:
        notifying = asyncio.create_task(parts.notifier.run())
        try:
            report = await parts.reconciler.run(only_look=only_look, deep=True)
        except Error as error:
            sys.exit(f"reconcile: {error.message}")
        finally:
            notifying.cancel()
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
    Redrive dead letters and refused outbox rows, and print how many.
    """
    async with built(settings) as parts:
        try:
            done = await parts.redrive.run(MAX_REDRIVEN)
            rows_again = await parts.books.redrive_rows()
        except Error as error:
            sys.exit(f"redrive: {error.message}")
    for topic, sent in done.sent.items():
        sys.stdout.write(f"{topic}: {sent} dead letters sent back, {done.passed_over[topic]} passed over\n")
    sys.stdout.write(f"{rows_again} outbox rows given to Kafka once more\n")


async def restored(settings: Settings, *, to: float, at: float) -> None:
    """
    Bring the other stores in line with a database that was restored *to* a moment, and print what was done.
    """
    moment = datetime.fromtimestamp(to, UTC)
    async with built(settings) as parts:
        topics = {stage.topic: group_of(stage) for stage in parts.path} | dict.fromkeys(SOURCES, GROUP)
        topics[ORDER_EVENTS] = EVENTS_GROUP
        done = await rewind(
            parts.books,
            AllocationStore(parts.pool),
            partial(asyncio.to_thread, pass_over, settings.kafka, topics),
            to=moment,
            at=datetime.fromtimestamp(at, UTC),
        )
        customers = CustomerStore(parts.pool)
        again = await _erased_again(settings, _customer_data(customers, parts.page_keys), customers, since=moment)
    stock = f"stock generation {done.generation}, {done.pending} pending orders published again"
    sys.stdout.write(f"{stock}, {again}\n")


async def _erased_again(settings: Settings, data: CustomerData, customers: CustomerStore, *, since: datetime) -> str:
    """
    Erase again who was erased *since* then, as far as Kafka knows, and return in words what came of it.

    A restore that is complete otherwise does not fail by it.
    """
    try:
        return said(await erase_again(data, customers, await asyncio.to_thread(_erased_orders, settings, since)))
    except Exception as error:
        log.exception("erased_customers_unknown")
        return f"who was erased since is not known, erase them by hand: {error}"


def _erased_orders(settings: Settings, since: datetime) -> set[uuid.UUID]:
    starts = topic_starts_at(settings.kafka, ORDER_EVENTS, since - CLOCKS_DIFFER)
    return told_of(messages_to_end(settings.kafka, ORDER_EVENTS, starts=starts, within_s=READ_S))


if __name__ == "__main__":
    main()
