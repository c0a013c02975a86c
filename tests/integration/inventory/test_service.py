"""The service as a process of its own, on a real Redis and a real Kafka."""

import tempfile
import uuid

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status.rpc_status import from_call
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.inventory.v1.events_pb2 import StockEvent
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order, OrderLine

from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.reader import read_to_end
from runtime.messaging.topics import Topic, ensure_topics
from tests.integration.inventory.servers import Allocations, eventually, free_port, inventory, migrate

pytestmark = pytest.mark.timeout(120)
OPERATOR = (("x-operator", "true"), ("x-customer-id", "ada"))


@pytest.fixture
async def orders():
    server = await Allocations(f"127.41.1.1:{free_port('127.41.1.1')}").start()
    yield server
    await server.stop()


@pytest.fixture
async def shop(redis, redis_server, kafka, orders):
    """One replica that serves the example shop, and what a caller needs."""
    with tempfile.TemporaryDirectory(prefix="inventory-service-") as folder:
        ensure_topics(kafka, [Topic("order_events")])
        shop = Shop(folder, redis_server, kafka, orders)
        migrate(shop.replica.environment)
        shop.replica.start()
        await eventually(shop.serving, 30)
        try:
            yield shop
        finally:
            await shop.channel.close()
            try:
                shop.end()
            finally:
                print(shop.replica.log()[-9000:])


class Shop:
    def __init__(self, folder, redis_server, kafka, orders):
        self.kafka, self.orders, self.redis_server = kafka, orders, redis_server
        self.replica = inventory(
            folder, "inventory-0", redis=redis_server.url, brokers=kafka, orders=orders.address, LEASE_GRACE_S="0"
        )
        self.channel = grpc.aio.insecure_channel(self.replica.address, options=[("grpc.max_reconnect_backoff_ms", 100)])
        self.stub = InventoryServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def end(self):
        self.replica.stop()

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

    async def tell(self, order, state, generation, **quantities):
        lines = [
            OrderLine(product=f"products/{name.replace('_', '-')}", quantity=units)
            for name, units in quantities.items()
        ]
        event = OrderEvent(
            event_id=str(uuid.uuid4()),
            order=Order(name=f"orders/{order}", state=state, lines=lines),
            stock_generation=generation,
        )
        await self.publish(Record("order_events", order.encode(), event.SerializeToString()))

    async def publish(self, record):
        async with Publisher(self.kafka, client_id="test") as publisher:
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
    await shop.tell(order, Order.CONFIRMED, hold.generation, enamel_mug=3)

    async def sold():
        assert await shop.stock("enamel-mug") == (before[0], before[1] - 3, before[2] + 3)

    await eventually(sold, 30)
    await shop.tell(order, Order.CANCELLED, hold.generation, enamel_mug=3)

    async def given_back():
        assert await shop.stock("enamel-mug") == (before[0] + 3, before[1] - 3, before[2])

    await eventually(given_back)

    async def published():
        events = [StockEvent.FromString(each.value) for each in await read_to_end(shop.kafka, "stock_events")]
        kinds = [event.kind for event in events if event.hold == f"holds/{order}"]
        assert kinds == [StockEvent.HELD, StockEvent.COMMITTED, StockEvent.RELEASED]

    await eventually(published)


async def test_garbage_goes_to_the_dead_letters_and_blocks_nobody(shop):
    order = new_order()
    hold = await shop.hold(order, tea_kettle=1)
    await shop.publish(Record("order_events", order.encode(), b"\xff\xff no event"))
    await shop.tell(order, Order.CONFIRMED, hold.generation, tea_kettle=1)

    async def sold():
        assert (await shop.stock("tea-kettle"))[1:] == (0, 1)

    await eventually(sold, 30)
    dead = [each for each in await read_to_end(shop.kafka, "order_events.inventory.dead") if each.key == order.encode()]
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

    await eventually(rebuilt)
    again = await shop.hold(forgotten, wool_blanket=5)
    assert again.generation > first.generation
    # The event of before the rebuild finds everything done.
    await shop.tell(sold, Order.CONFIRMED, first.generation, wool_blanket=4)
    repeat = await shop.restock("wool-blanket", 7, f"r-{sold}")
    assert repeat.stock.on_hand == total


async def test_units_come_in_once_for_each_request_of_an_operator(shop):
    request_id = new_order()
    first = await shop.restock("bread-knife", 5, request_id)
    again = await shop.restock("bread-knife", 5, request_id)
    assert first == again
    with pytest.raises(grpc.aio.AioRpcError) as reused:
        await shop.restock("bread-knife", 6, request_id)
    assert reason(reused.value) == "IDEMPOTENCY_KEY_REUSED"
    request = inventory_service_pb2.RestockRequest(name="products/bread-knife", quantity=1, request_id="x")
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await shop.stub.Restock(request)
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

    await eventually(back)
    assert shop.orders.generation == generation


async def test_a_killed_replica_leaves_no_stock_event_behind(shop):
    orders = [new_order() for _ in range(30)]
    for order in orders[:15]:
        await shop.hold(order, linen_towel=1)
    shop.replica.kill()
    shop.replica.start()
    await eventually(shop.serving, 30)
    for order in orders[15:]:
        await shop.hold(order, linen_towel=1)

    async def published():
        events = [StockEvent.FromString(each.value) for each in await read_to_end(shop.kafka, "stock_events")]
        assert {f"holds/{order}" for order in orders} <= {event.hold for event in events}

    await eventually(published, 30)
