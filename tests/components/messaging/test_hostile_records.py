"""
Whatever is written to a topic: no replica ends, no partition is blocked, and invalid records are dead-lettered.

Both services run as processes on one Kafka. Every topic that they read is filled with random bytes and with records
that once ended processes; valid records follow in every partition.
"""

import asyncio
import os
import random
import uuid

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from shop.inventory.v1 import events_pb2 as stock_events_pb2
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from shop.orders.v1 import (
    events_pb2,
    operations_service_pb2,
    operations_service_pb2_grpc,
    order_pb2,
    order_service_pb2,
)

from inventory_svc import wire
from inventory_svc.stock import Receipt
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import read_to_end
from tests.support.redis_server import RedisServer
from tests.support.replicas import OrdersReplica, inventory_replica, migrate
from tests.support.stand_ins import Allocations, InventoryServer
from tests.support.waiting import passes

SEED = int(os.environ.get("HOSTILE_SEED", "20261126"))
RECORDS = 40
PARTITIONS = {
    "pending_orders": 8,
    "pending_orders.retry.1s": 8,
    "pending_orders.retry.2s": 8,
    "pending_orders.dead": 8,
    "order_events": 8,
    "order_events.inventory.dead": 1,
    "stock_ledger": 1,
}
CUSTOMER = (("x-customer-id", "ann"),)
OPERATOR = (("x-customer-id", "op"), ("x-operator", "true"))
NOT_UTF8 = [(b"\xff\xfe", b"x"), (b"traceparent", b"\xff")]


def poisons(chance):
    """Return records that once ended processes or blocked partitions, and random ones."""
    far = Timestamp(seconds=2**62)
    name = f"orders/{uuid.UUID(int=chance.getrandbits(128))}"
    order = order_pb2.Order(name=name, state=order_pb2.Order.CONFIRMED, version=2**62, create_time=far, update_time=far)
    huge = [order_pb2.OrderLine(product="products/x", quantity=2**31 - 1)] * 50
    order.lines.extend(huge)
    listing = stock_events_pb2.LedgerEntry(occur_time=far)
    listing.listing.product.name = "products/out-of-time"
    values = [
        None,
        b"",
        b"\xff\xff",
        b"x" * 1_000_500,
        events_pb2.OrderEvent(order=order).SerializeToString(),
        events_pb2.OrderEvent(order=order_pb2.Order(name="orders/../../x", state=3)).SerializeToString(),
        events_pb2.PendingOrder(order=order).SerializeToString(),
        listing.SerializeToString(),
    ]
    for value in values:
        yield {"value": value}
        yield {"value": value if value is None else value[:900_000], "headers": NOT_UTF8, "key": None}
    yield {"value": b"v", "headers": [(b"%d" % number, None) for number in range(20_000)]}
    yield {"value": b"v", "headers": [(b"\xff", b"")] * 20_000}
    yield {"value": b"v", "headers": [(b"deliveries", b"9" * 5000), (b"origin_topic", b"stock_ledger")]}
    yield {"value": b"v", "key": b"\xff" * 3000, "headers": [(b"a\x00b", b"\x00"), (b"", b"")]}
    for _ in range(RECORDS):
        headers = [
            (chance.randbytes(chance.randint(0, 9)), chance.choice([None, chance.randbytes(chance.randint(0, 99))]))
            for _ in range(chance.randint(0, 5))
        ]
        yield {"value": chance.randbytes(chance.randint(0, 300)), "key": chance.randbytes(4), "headers": headers}


def flood(raw, topics):
    chance = random.Random(SEED)
    sent = 0
    for topic in topics:
        for record in poisons(chance):
            raw.send(topic, partition=chance.randrange(PARTITIONS[topic]), **record)
            sent += 1
        # Records that break calls that CPython has specialized, in each partition.
        for partition in range(PARTITIONS[topic]):
            for _ in range(12):
                raw.send(topic, partition=partition, value=b"\xff", headers=NOT_UTF8)
                sent += 1
    raw.flush()
    print(f"seed {SEED}: {sent} hostile records")


class World:
    """Both services, each with a stand-in for the other."""

    def __init__(self, kafka, database, folder):
        self.kafka = kafka
        self.redis = RedisServer(folder)
        self.allocations = Allocations()
        self.stand_in = InventoryServer()
        self.stand_in.servicer.stock = {"products/tea": 1_000_000}
        settings = {
            "DATABASE_URL": database,
            "KAFKA_BROKERS": kafka,
            "INVENTORY_ADDRESS": self.stand_in.address,
            "SAGA_RETRY_DELAYS_S": "[1, 2]",
        }
        self.orders_settings = settings
        self.orders = OrdersReplica(settings, folder / "orders.log")
        self.inventory = inventory_replica(
            folder, "inventory-0", redis=self.redis.url, brokers=kafka, orders=self.allocations.address
        )

    async def start(self):
        self.redis.start()
        await self.allocations.start()
        await asyncio.to_thread(migrate, "orders_svc", self.orders_settings)
        await asyncio.to_thread(migrate, "inventory_svc", self.inventory.environment)

    async def serve(self):
        self.inventory.start()
        await self.orders.start()
        self.channel = grpc.aio.insecure_channel(self.inventory.address)
        self.stock = InventoryServiceStub(self.channel)
        await passes(lambda: self.product("enamel-mug"), 60)

    async def product(self, name):
        request = inventory_service_pb2.GetProductRequest(name=f"products/{name}")
        return (await self.stock.GetProduct(request)).stock

    async def place(self):
        order = order_pb2.Order(lines=[order_pb2.OrderLine(product="products/tea", quantity=1)])
        request = order_service_pb2.CreateOrderRequest(order=order, request_id=str(uuid.uuid4()))
        # On a busy machine some orders need the retry that the error asks for.
        return await passes(lambda: self.orders.orders.CreateOrder(request, metadata=CUSTOMER, timeout=20), 60)

    async def end(self):
        await self.orders.stop()
        if hasattr(self, "channel"):
            await self.channel.close()
        self.inventory.stop()
        await self.stand_in.stop()
        await self.allocations.stop()
        self.redis.kill()


@pytest.fixture
async def world(kafka, database_url, tmp_path):
    made = World(kafka, database_url, tmp_path)
    await made.start()
    try:
        yield made
    finally:
        try:
            await made.end()
        finally:
            print(made.inventory.log()[-3000:])
            print((tmp_path / "orders.log").read_text(errors="replace")[-3000:])


async def test_no_record_ends_a_replica_or_blocks_a_partition(world, kafka, raw):
    flood(raw, PARTITIONS)
    await world.serve()
    ledger_before = (await world.product("olive-oil")).on_hand

    # After them, a valid event in each partition of order_events, and a receipt in the ledger.
    for partition in range(PARTITIONS["order_events"]):
        order = str(uuid.uuid4())
        lines = [inventory_pb2.HoldLine(product="products/enamel-mug", quantity=1)]
        holding = inventory_service_pb2.HoldStockRequest(order=f"orders/{order}", lines=lines)
        hold = await passes(lambda request=holding: world.stock.HoldStock(request, timeout=20), 60)
        sold = order_pb2.Order(name=f"orders/{order}", state=order_pb2.Order.CONFIRMED, version=1)
        sold.lines.append(order_pb2.OrderLine(product="products/enamel-mug", quantity=1))
        event = events_pb2.OrderEvent(event_id=str(uuid.uuid4()), order=sold, stock_generation=hold.generation)
        world.allocations.owned[order] = {"enamel-mug": 1}
        raw.send("order_events", key=order.encode(), value=event.SerializeToString(), partition=partition)
    receipt = wire.receipt_entry(Receipt(f"otto {uuid.uuid4()}", "olive-oil", 7), 1_700_000_000_000)
    raw.send("stock_ledger", key=uuid.uuid4().bytes, value=receipt.SerializeToString(), headers=NOT_UTF8)
    raw.flush()

    # And orders without inventory, so that they pass through every retry topic.
    orders = [await world.place() for _ in range(40)]
    assert {order.state for order in orders} == {order_pb2.Order.PENDING}
    await asyncio.sleep(4)
    await world.stand_in.start()

    async def confirmed():
        for order in orders:
            request = order_service_pb2.GetOrderRequest(name=order.name)
            found = await world.orders.orders.GetOrder(request, metadata=CUSTOMER)
            assert found.state == order_pb2.Order.CONFIRMED, found.name

    async def sold_and_received():
        assert (await world.product("enamel-mug")).sold == PARTITIONS["order_events"]
        assert (await world.product("olive-oil")).on_hand == ledger_before + 7

    await passes(confirmed, 90)
    await passes(sold_and_received, 60)

    # Operators can list the dead letters, whatever they contain.
    operations = operations_service_pb2_grpc.OperationsServiceStub(world.orders.channel)

    async def counted():
        request = operations_service_pb2.GetBacklogRequest()
        backlog = await operations.GetBacklog(request, metadata=OPERATOR, timeout=20)
        dead = {each.topic: each.messages for each in backlog.dead_letter_topics}
        assert min(dead["pending_orders.dead"], dead["order_events.inventory.dead"]) > 100, dead
        return dead

    dead = await passes(counted, 60)
    request = operations_service_pb2.RedriveDeadLettersRequest(limit=10_000)
    redriven = await operations.RedriveDeadLetters(request, metadata=OPERATOR, timeout=90)
    print(f"{dead}, redriven {redriven.redriven}, passed over {redriven.passed_over}")
    assert redriven.redriven + redriven.passed_over >= sum(dead.values())

    letters = await read_to_end(KafkaCluster(kafka), "pending_orders.dead")
    ours = [each for each in letters if each.headers.get("reason") == "POISON_MESSAGE"]
    assert {each.headers["origin_topic"] for each in ours} >= {"pending_orders", "pending_orders.retry.1s"}
    assert any(len(each.value or b"") == 1_000_500 for each in ours)
    assert world.orders.process.poll() is None
    assert world.inventory.alive
    await confirmed()
