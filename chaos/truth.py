"""The final state after an experiment: orders in PostgreSQL, events in Kafka, stock in inventory."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import asyncpg
import grpc
from google.protobuf.message import DecodeError
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import events_pb2

from runtime.errors import Error
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import messages_to_end
from stack.customer import Metadata

TAKEN = ("CONFIRMED", "FULFILLED")
READ_LIMIT_S = 300
# How long a store may be down while it is read: longer than any failover takes.
AWAY_LIMIT_S, AWAY_POLL_S = 120.0, 1.0
# The last is the error while no member leads.
AWAY = (
    *(OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError),
    asyncpg.TargetServerAttributeNotMatched,
)
AWAY_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class StoredOrder:
    """An order's row."""

    name: str
    state: str
    version: int
    quantities: dict[str, int]


@dataclass(frozen=True)
class StockNow:
    """A product's stock, in units."""

    on_hand: int
    available: int
    held: int
    sold: int


@dataclass
class Published:
    """What `order_events` contains for each order: its versions in the order of their arrival."""

    versions: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    unreadable: int = 0


class NotRead(Exception):
    """A store could not be read within its time limit; the message says which and why."""


def patiently(store: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """
    Retry a read of *store* for up to AWAY_LIMIT_S while it is down, then raise `NotRead`.
    """

    def wrapper(read: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(read)
        async def patient(*args: P.args, **kwargs: P.kwargs) -> T:
            until = time.monotonic() + AWAY_LIMIT_S
            while True:
                try:
                    return await read(*args, **kwargs)
                except (*AWAY, grpc.aio.AioRpcError) as error:
                    if isinstance(error, grpc.aio.AioRpcError) and error.code() not in AWAY_CODES:
                        raise
                    if time.monotonic() > until:
                        raise NotRead(f"{store} was not read within {AWAY_LIMIT_S} s: {_in_words(error)}") from error
                await asyncio.sleep(AWAY_POLL_S)

        return patient

    return wrapper


def _in_words(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or type(error).__name__


ORDERS = """
SELECT order_id, state, version, lines FROM orders UNION ALL SELECT order_id, state, version, lines FROM archived_orders
"""
COUNTED = "SELECT product, sum(units)::bigint AS units FROM sold_units GROUP BY product"


@patiently("PostgreSQL")
async def orders_and_counts(database_url: str) -> tuple[dict[str, StoredOrder], Counter[str]]:
    """
    Return every order by name, and the units that PostgreSQL counts as sold by product, both of one moment.
    """
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            orders = {stored.name: stored for stored in map(_stored, await connection.fetch(ORDERS))}
            counted = Counter({row["product"]: row["units"] for row in await connection.fetch(COUNTED)})
    finally:
        await connection.close()
    return orders, counted


@patiently("PostgreSQL")
async def orders_in(database_url: str) -> dict[str, StoredOrder]:
    """
    Return every order by name.
    """
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        rows = await connection.fetch(ORDERS)
    finally:
        await connection.close()
    return {stored.name: stored for stored in map(_stored, rows)}


def _stored(row: asyncpg.Record) -> StoredOrder:
    lines = json.loads(row["lines"])
    quantities = {line["product"]: line["quantity"] for line in lines}
    return StoredOrder(f"orders/{row['order_id']}", row["state"], row["version"], quantities)


async def settled(database_url: str, *, within_s: float) -> tuple[int, int]:
    """
    Wait until no order is pending and no event waits to be published; return the number left of both.
    """
    end = time.monotonic() + within_s
    while True:
        left = await _unsettled(database_url)
        if left == (0, 0) or time.monotonic() > end:
            return left
        await asyncio.sleep(0.5)


@patiently("PostgreSQL")
async def _unsettled(database_url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        pending = await connection.fetchval("SELECT count(*) FROM orders WHERE state = 'PENDING'")
        waiting = await connection.fetchval("SELECT count(*) FROM outbox")
    finally:
        await connection.close()
    return pending, waiting


def published(brokers: str) -> Published:
    """
    Read `order_events` from its beginning to its current end; raises `NotRead` if that is not reached.
    """
    found = Published()
    try:
        for message in messages_to_end(KafkaCluster(brokers), "order_events", within_s=READ_LIMIT_S):
            _note(found, message.value or b"")
    except Error as error:
        raise NotRead(error.message) from error
    return found


def _note(found: Published, value: bytes) -> None:
    try:
        event = events_pb2.OrderEvent.FromString(value)
    except DecodeError:
        found.unreadable += 1
        return
    found.versions[event.order.name].append(event.order.version)


@patiently("the stock")
async def stock_at(address: str, metadata: Metadata = ()) -> dict[str, StockNow]:
    """
    Return every product's stock, read through the edge at *address*.
    """
    found: dict[str, StockNow] = {}
    async with grpc.aio.insecure_channel(address) as channel:
        stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)
        token = ""
        while True:
            request = inventory_service_pb2.ListProductsRequest(page_size=500, page_token=token)
            page = await stub.ListProducts(request, metadata=metadata, timeout=10)
            for product in page.products:
                s = product.stock
                found[product.name] = StockNow(s.on_hand, s.available, s.held, s.sold)
            token = page.next_page_token
            if not token:
                return found


async def stored_and_stock(
    database_url: str, address: str, *, within_s: float, look_again_s: float = 5.0
) -> tuple[dict[str, StoredOrder], Counter[str], dict[str, StockNow]]:
    """
    Return the orders, the counted units and the stock once they agree, or their state after *within_s*.

    Others may order meanwhile, such as a prober: then the orders are read again.
    """
    end = time.monotonic() + within_s
    while True:
        orders, counted = await orders_and_counts(database_url)
        taken = taken_by(orders.values())
        stock = await stock_settled(address, taken=taken, within_s=min(look_again_s, end - time.monotonic()))
        if _agrees(stock, taken) or time.monotonic() > end:
            return orders, counted, stock


def _agrees(found: Mapping[str, StockNow], taken: Mapping[str, int]) -> bool:
    return all((stock.held, stock.sold) == (0, taken.get(name, 0)) for name, stock in found.items())


async def stock_settled(
    address: str, metadata: Metadata = (), *, taken: Mapping[str, int], within_s: float
) -> dict[str, StockNow]:
    """
    Return the stock once nothing is held and *taken* is sold of each product, or its state after *within_s*.

    The units of a cancelled order are released when inventory consumes its event, which may be a rebalance of its
    consumers later.
    """
    end = time.monotonic() + within_s
    while True:
        found = await stock_at(address, metadata)
        if _agrees(found, taken) or time.monotonic() > end:
            return found
        await asyncio.sleep(0.5)


def taken_by(orders: Iterable[StoredOrder]) -> Counter[str]:
    """
    Return the units that confirmed and fulfilled orders own, by product.
    """
    units: Counter[str] = Counter()
    for order in orders:
        if order.state in TAKEN:
            units.update(order.quantities)
    return units
