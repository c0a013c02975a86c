"""
Two replicas under load while they are killed, and Redis is killed and emptied.

The test plays the orders' side as the real one does: an order is confirmed only on a hold of the current generation.
Afterwards nothing is oversold, and the stock is exactly what the confirmed orders own.
"""

import asyncio
import random
import tempfile
import uuid

import grpc
import pytest
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order, OrderLine

from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.topics import Topic, ensure_topics
from tests.support.replicas import inventory_replica, migrate
from tests.support.stand_ins import Allocations
from tests.support.waiting import passes

PRODUCTS = ("enamel-mug", "olive-oil")
BUYERS = 12


class Shop:
    def __init__(self, replicas, table, publisher):
        self.table, self.publisher = table, publisher
        options = [("grpc.max_reconnect_backoff_ms", 200)]
        self.channels = [grpc.aio.insecure_channel(each.address, options=options) for each in replicas]
        self.stubs = [InventoryServiceStub(channel) for channel in self.channels]
        self.outcomes = {}

    async def close(self):
        for channel in self.channels:
            await channel.close()

    async def buy_until(self, stopped, seed):
        chance = random.Random(seed)
        while not stopped.is_set():
            wanted = {name: chance.randint(1, 3) for name in chance.sample(PRODUCTS, chance.randint(1, 2))}
            await self.buy(str(uuid.UUID(int=chance.getrandbits(128))), wanted, chance)

    async def buy(self, order, wanted, chance):
        lines = [inventory_pb2.HoldLine(product=f"products/{name}", quantity=units) for name, units in wanted.items()]
        request = inventory_service_pb2.HoldStockRequest(order=f"orders/{order}", lines=lines)
        try:
            hold = await chance.choice(self.stubs).HoldStock(request, timeout=2)
        except grpc.aio.AioRpcError as error:
            self.count(error.code().name)
            await asyncio.sleep(0.05)
            return
        if hold.generation != self.table.generation:
            self.count("FENCED")
            return
        self.count("CONFIRMED")
        self.table.owned[order] = wanted
        self.table.confirmed_on[order] = hold.generation
        await self.publish(order, Order.CONFIRMED, wanted, hold.generation)
        if chance.random() < 0.2:
            del self.table.owned[order]
            # Like the orders' transaction: in the current generation.
            await self.publish(order, Order.CANCELLED, wanted, self.table.generation, hold.generation)

    def count(self, outcome):
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    async def publish(self, order, state, wanted, generation, held_in=0):
        lines = [OrderLine(product=f"products/{name}", quantity=units) for name, units in wanted.items()]
        changed = Order(name=f"orders/{order}", state=state, lines=lines)
        event = OrderEvent(
            event_id=str(uuid.uuid4()),
            order=changed,
            stock_generation=generation,
            hold_generation=held_in or generation,
        )
        event.occur_time.GetCurrentTime()
        await self.publisher.publish([Record("order_events", order.encode(), event.SerializeToString())])

    def owned(self, name):
        return sum(wanted.get(name, 0) for wanted in self.table.owned.values())

    async def stock(self, name):
        request = inventory_service_pb2.GetProductRequest(name=f"products/{name}")
        return (await self.stubs[0].GetProduct(request, timeout=2)).stock


@pytest.fixture
async def table():
    server = await Allocations().start()
    yield server
    await server.stop()


async def test_nothing_acknowledged_is_lost_and_nothing_is_oversold(redis, redis_server, kafka, table):
    ensure_topics(KafkaCluster(kafka), [Topic("order_events")])
    with tempfile.TemporaryDirectory(prefix="inventory-disasters-") as folder:
        common = {"redis": redis_server.url, "brokers": kafka, "orders": table.address}
        replicas = [
            inventory_replica(folder, f"inventory-{n}", **common, LEASE_S="4", LEASE_GRACE_S="1") for n in range(2)
        ]
        migrate("inventory_svc", replicas[0].environment)
        for replica in replicas:
            replica.start()
        async with Publisher(KafkaCluster(kafka), client_id="test") as publisher:
            shop = Shop(replicas, table, publisher)
            try:
                await run_through_disasters(shop, replicas, redis, redis_server)
            finally:
                print(shop.outcomes, "generation", table.generation)
                await shop.close()
                for replica in replicas:
                    replica.stop()
                    print(replica.log()[-3000:])


async def run_through_disasters(shop, replicas, redis, redis_server):
    await passes(lambda: shop.stock(PRODUCTS[0]), 40)
    # The ledger may have receipts of earlier tests.
    before = {name: (await shop.stock(name)).on_hand for name in PRODUCTS}
    stopped = asyncio.Event()
    buyers = [asyncio.create_task(shop.buy_until(stopped, seed)) for seed in range(BUYERS)]
    await asyncio.sleep(2)
    replicas[0].kill()
    await asyncio.sleep(1)
    replicas[0].start()
    await asyncio.sleep(1)
    redis_server.kill()
    await asyncio.sleep(0.5)
    redis_server.start()
    await asyncio.sleep(2)
    generation = shop.table.generation
    await redis.flushall()
    await asyncio.sleep(4)
    assert shop.table.generation > generation
    stopped.set()
    await asyncio.gather(*buyers)
    assert shop.outcomes["CONFIRMED"] > 50

    async def settled():
        for name in PRODUCTS:
            stock = await shop.stock(name)
            assert stock.on_hand == stock.available + stock.held + stock.sold == before[name]
            assert (stock.sold, stock.held) == (shop.owned(name), 0), name

    await passes(settled, 60)
    assert all(shop.owned(name) <= before[name] for name in PRODUCTS)
