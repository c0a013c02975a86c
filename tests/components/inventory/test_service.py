"""The service as a process, on a real Redis and a real Kafka."""

import asyncio
import contextlib
import tempfile
import uuid

import confluent_kafka
import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status.rpc_status import from_call
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.inventory.v1.events_pb2 import LedgerEntry, StockEvent
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order, OrderLine

from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.reader import read_to_end
from runtime.messaging.topics import Topic, ensure_topics
from tests.support.replicas import inventory_replica, migrate
from tests.support.stand_ins import Allocations
from tests.support.waiting import passes

DEAD = "order_events.inventory.dead"
OPERATOR = (("x-operator", "true"), ("x-customer-id", "ada"))


@pytest.fixture
async def orders():
    server = await Allocations().start()
    yield server
    await server.stop()


@pytest.fixture
async def shop(redis, redis_server, kafka, orders):
    """One replica with the example shop, and a client."""
    with tempfile.TemporaryDirectory(prefix="inventory-service-") as folder:
        ensure_topics(KafkaCluster(kafka), [Topic("order_events")])
        shop = Shop(folder, redis_server, kafka, orders)
        migrate("inventory_svc", shop.replica.environment)
        shop.replica.start()
        await passes(shop.serving, 30)
        try:
            yield shop
        finally:
            await shop.channel.close()
            try:
                shop.end()
            finally:
                print(shop.replica.log()[-9000:])


class Shop:
    def __init__(self, folder, redis_server, kafka, orders, name="inventory-0"):
        self.folder, self.kafka, self.orders, self.redis_server = folder, kafka, orders, redis_server
        self.replica = inventory_replica(
            folder, name, redis=redis_server.url, brokers=kafka, orders=orders.address, LEASE_GRACE_S="0"
        )
        self.channel = grpc.aio.insecure_channel(self.replica.address, options=[("grpc.max_reconnect_backoff_ms", 100)])
        self.stub = InventoryServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def end(self):
        self.replica.stop()

    @contextlib.asynccontextmanager
    async def second(self, name):
        """A second replica while the block runs."""
        second = Shop(self.folder, self.redis_server, self.kafka, self.orders, name)
        second.replica.start()
        try:
            yield second
        finally:
            await second.channel.close()
            second.replica.stop()
            print(second.replica.log()[-3000:])

    async def serving(self):
        answer = await self.health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def stock(self, name):
        product = await self.stub.GetProduct(inventory_service_pb2.GetProductRequest(name=f"products/{name}"))
        stock = product.stock
        assert stock.on_hand == stock.available + stock.held + stock.sold
        return stock.available, stock.held, stock.sold

    async def hold(self, order, **quantities):
        lines = [
            inventory_pb2.HoldLine(product=f"products/{name.replace('_', '-')}", quantity=units)
            for name, units in quantities.items()
        ]
        return await self.stub.HoldStock(inventory_service_pb2.HoldStockRequest(order=f"orders/{order}", lines=lines))

    async def publish_order_event(self, order, state, generation, **quantities):
        lines = [
            OrderLine(product=f"products/{name.replace('_', '-')}", quantity=units)
            for name, units in quantities.items()
        ]
        event = OrderEvent(
            event_id=str(uuid.uuid4()),
            order=Order(name=f"orders/{order}", state=state, lines=lines),
            stock_generation=generation,
            hold_generation=generation,
        )
        event.occur_time.GetCurrentTime()
        await self.publish(Record("order_events", order.encode(), event.SerializeToString()))

    async def publish(self, record):
        async with Publisher(KafkaCluster(self.kafka), client_id="test") as publisher:
            await publisher.publish([record])

    async def restock(self, name, units, request_id):
        request = inventory_service_pb2.RestockRequest(name=f"products/{name}", quantity=units, request_id=request_id)
        return await self.stub.Restock(request, metadata=OPERATOR)


def new_order():
    return str(uuid.uuid4())


def reason(call_error):
    info = ErrorInfo()
    for detail in from_call(call_error).details:
        if detail.Unpack(info):
            return info.reason
    return None


async def test_an_order_goes_from_hold_to_sale_to_refund_by_its_events(shop):
    order = new_order()
    hold = await shop.hold(order, enamel_mug=3)
    assert hold.state == inventory_pb2.Hold.HELD
    assert hold.generation == shop.orders.generation
    before = await shop.stock("enamel-mug")
    await shop.publish_order_event(order, Order.CONFIRMED, hold.generation, enamel_mug=3)

    async def sold():
        assert await shop.stock("enamel-mug") == (before[0], before[1] - 3, before[2] + 3)

    await passes(sold, 30)
    await shop.publish_order_event(order, Order.CANCELLED, hold.generation, enamel_mug=3)

    async def returned():
        assert await shop.stock("enamel-mug") == (before[0] + 3, before[1] - 3, before[2])

    await passes(returned)

    async def published():
        events = [
            StockEvent.FromString(each.value) for each in await read_to_end(KafkaCluster(shop.kafka), "stock_events")
        ]
        kinds = [event.kind for event in events if event.hold == f"holds/{order}"]
        assert kinds == [StockEvent.HELD, StockEvent.COMMITTED, StockEvent.RELEASED]

    await passes(published)


async def test_invalid_messages_are_dead_lettered_and_block_nothing(shop):
    order = new_order()
    hold = await shop.hold(order, tea_kettle=1)
    await shop.publish(Record("order_events", order.encode(), b"\xff\xff no event"))
    await shop.publish_order_event(order, Order.CONFIRMED, hold.generation, tea_kettle=1)

    async def sold():
        assert (await shop.stock("tea-kettle"))[1:] == (0, 1)

    await passes(sold, 30)
    dead = [each for each in await read_to_end(KafkaCluster(shop.kafka), DEAD) if each.key == order.encode()]
    assert dead[0].value == b"\xff\xff no event"


async def test_emptied_redis_is_rebuilt_before_anything_is_served(shop, redis):
    sold, forgotten = new_order(), new_order()
    first = await shop.hold(sold, wool_blanket=4)
    await shop.hold(forgotten, wool_blanket=5)
    await shop.restock("wool-blanket", 7, f"r-{sold}")
    available, held, sold_units = await shop.stock("wool-blanket")
    total = available + held + sold_units
    shop.orders.owned[sold] = {"wool-blanket": 4}
    await redis.flushall()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await shop.hold(new_order(), wool_blanket=1)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert reason(refused.value) == "STOCK_REBUILDING"
    assert any(detail.Is(RetryInfo.DESCRIPTOR) for detail in from_call(refused.value).details)

    async def rebuilt():
        assert await shop.stock("wool-blanket") == (total - 4, 0, 4)

    await passes(rebuilt)
    again = await shop.hold(forgotten, wool_blanket=5)
    assert again.generation > first.generation
    # The event from before the rebuild is already applied.
    await shop.publish_order_event(sold, Order.CONFIRMED, first.generation, wool_blanket=4)
    repeat = await shop.restock("wool-blanket", 7, f"r-{sold}")
    assert repeat.stock.on_hand == total


async def test_a_restock_is_applied_once_per_request_id(shop):
    request_id = new_order()
    first = await shop.restock("bread-knife", 5, request_id)
    again = await shop.restock("bread-knife", 5, request_id)
    assert first == again
    with pytest.raises(grpc.aio.AioRpcError) as reused:
        await shop.restock("bread-knife", 6, request_id)
    assert reason(reused.value) == "IDEMPOTENCY_KEY_REUSED"
    request = inventory_service_pb2.RestockRequest(name="products/bread-knife", quantity=1, request_id="x")
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await shop.stub.Restock(request, metadata=(("x-customer-id", "ada"),))
    assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_a_restarted_redis_keeps_its_generation(shop):
    generation = shop.orders.generation
    before = await shop.stock("table-lamp")
    shop.redis_server.kill()
    with pytest.raises(grpc.aio.AioRpcError) as down:
        await shop.hold(new_order(), table_lamp=1)
    assert reason(down.value) == "STOCK_UNAVAILABLE"
    await shop.serving()
    shop.redis_server.start()

    async def back():
        assert await shop.stock("table-lamp") == before

    await passes(back)
    assert shop.orders.generation == generation


async def test_replicas_started_under_load_rebuild_nothing(shop):
    """The history that they read is newer than their read of Redis shortly before."""
    generation = shop.orders.generation
    sold, stopped = [], asyncio.Event()

    async def buy_for_ever():
        while not stopped.is_set():
            sold.append((await shop.hold(new_order(), olive_oil=1)).generation)
            await asyncio.sleep(0.01)

    await shop.restock("olive-oil", 100_000, new_order())
    buyers = [asyncio.create_task(buy_for_ever()) for _ in range(4)]
    for number in range(3):
        async with shop.second(f"inventory-second-{number}") as second:
            await passes(second.serving, 30)
    stopped.set()
    await asyncio.gather(*buyers)
    assert len(sold) > 100
    assert set(sold) == {generation}
    assert shop.orders.generation == generation


async def test_an_invalid_ledger_entry_blocks_neither_restocks_nor_a_rebuild(shop, redis):
    before = await shop.stock("bread-knife")
    bad = LedgerEntry(listing={"product": {"name": "products/bread-knife", "unit_price": {"currency_code": "EUR"}}})
    bad.occur_time.seconds = 10**15
    await shop.publish(Record("stock_ledger", b"listings/bad", bad.SerializeToString()))
    await shop.publish(Record("stock_ledger", b"listings/worse", b"\xff\xff"))
    order = new_order()
    entry = LedgerEntry(receipt={"product": "products/bread-knife", "quantity": 7, "request_id": f"torn {order}"})
    await shop.publish(Record("stock_ledger", order.encode(), entry.SerializeToString()))

    async def followed():
        assert (await shop.stock("bread-knife"))[0] == before[0] + 7

    await passes(followed, 30)
    generation = shop.orders.generation
    await redis.flushall()

    async def rebuilt():
        assert (await shop.stock("bread-knife"))[0] == before[0] + 7
        assert shop.orders.generation == generation + 1

    await passes(rebuilt, 30)


async def test_events_of_an_unknown_generation_block_nothing(shop):
    """Kafka's records after PostgreSQL was restored to an earlier time, or those of a faulty producer."""
    before = await shop.stock("field-notebook")
    owned, older, nobody, good = (new_order() for _ in range(4))
    shop.orders.owned |= {owned: {"field-notebook": 2}, older: {"field-notebook": 3}}
    shop.orders.confirmed_on |= {older: shop.orders.generation - 1}
    held = await shop.hold(good, field_notebook=1)
    for order, units in ((owned, 2), (older, 3), (nobody, 4)):
        await shop.publish_order_event(order, Order.CONFIRMED, 999, field_notebook=units)
    await shop.publish_order_event(nobody, Order.CANCELLED, 999, field_notebook=4)
    await shop.publish_order_event(good, Order.CONFIRMED, held.generation, field_notebook=1)

    async def decided():
        dead = [each for each in await read_to_end(KafkaCluster(shop.kafka), DEAD) if each.key == nobody.encode()]
        assert len(dead) == 2
        assert await shop.stock("field-notebook") == (before[0] - 3, 0, before[2] + 3)

    await passes(decided, 30)
    assert (await shop.hold(new_order(), field_notebook=1)).generation == held.generation
    shop.orders.owned.clear()


async def test_a_rebuild_waits_for_open_transactions_in_the_ledger(shop, redis):
    """What was acknowledged after it began is in the stock, or there is no stock yet."""
    before = await shop.stock("linen-towel")
    producer = confluent_kafka.Producer({"bootstrap.servers": shop.kafka, "transactional.id": new_order()})
    await asyncio.to_thread(producer.init_transactions, 20)
    producer.begin_transaction()
    producer.produce("stock_ledger", key=b"uncommitted", value=b"not committed")
    await asyncio.to_thread(producer.flush, 10)
    await shop.restock("linen-towel", 500, new_order())
    generation = shop.orders.generation
    await redis.flushall()
    await asyncio.sleep(3)
    with pytest.raises(grpc.aio.AioRpcError):
        await shop.stock("linen-towel")
    assert shop.orders.generation == generation
    await asyncio.to_thread(producer.abort_transaction, 20)

    async def rebuilt():
        assert await shop.stock("linen-towel") == (sum(before) + 500, 0, 0)

    await passes(rebuilt, 40)


async def test_a_stock_reported_wrong_stays_readable_during_its_rebuild(shop):
    order, generation = new_order(), shop.orders.generation
    before = await shop.stock("beeswax-candle")
    shop.orders.owned[order] = {"beeswax-candle": 5}
    reads = []
    await shop.stub.RebuildStock(inventory_service_pb2.RebuildStockRequest(generation=generation))

    async def rebuilt():
        reads.append(await shop.stock("beeswax-candle"))
        assert reads[-1] == (sum(before) - 5, 0, 5)

    await passes(rebuilt, 20)
    assert shop.orders.generation == generation + 1
    shop.orders.owned.clear()


async def test_a_killed_replica_loses_no_stock_event(shop):
    orders = [new_order() for _ in range(30)]
    for order in orders[:15]:
        await shop.hold(order, linen_towel=1)
    shop.replica.kill()
    shop.replica.start()
    await passes(shop.serving, 30)
    for order in orders[15:]:
        await shop.hold(order, linen_towel=1)

    async def published():
        events = [
            StockEvent.FromString(each.value) for each in await read_to_end(KafkaCluster(shop.kafka), "stock_events")
        ]
        assert {f"holds/{order}" for order in orders} <= {event.hold for event in events}

    await passes(published, 30)
