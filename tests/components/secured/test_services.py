"""Both services, each with the rights of `stores/access.yaml` and no others, on stores that take TLS only."""

import uuid

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import NoPermissionError, RedisError
from shop.orders.v1 import order_pb2, order_service_pb2

from runtime import database
from stores import files
from tests.components.secured.conftest import PASSWORD
from tests.support.authority import Authority
from tests.support.replicas import OrdersReplica, inventory_replica, migrate
from tests.support.waiting import passes

CUSTOMER = (("x-customer-id", "ana"),)
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def orders(tmp_path, postgres, database_url, redis, scram, password_file):
    """Return the stub of orders; its replica and inventory's hold one another's address."""
    orders = OrdersReplica({}, tmp_path / "orders-0.log")
    settings = {**scram("inventory"), "REDIS_PASSWORD_FILE": str(password_file), "PAGE_TOKEN_KEY": "k" * 32}
    brokers = settings.pop("KAFKA_BROKERS")
    inventory = inventory_replica(
        tmp_path, "inventory-0", redis=redis.url(), brokers=brokers, orders=orders.address, **settings
    )
    orders.environment |= {
        **scram("orders"),
        "DATABASE_URL": f"{database_url}?sslmode=verify-full&sslrootcert={postgres.authority}",
        "DATABASE_ROLE": files.SERVING,
        "INVENTORY_ADDRESS": inventory.address,
    }
    migrate("orders_svc", orders.environment)
    migrate("inventory_svc", inventory.environment)
    inventory.start()
    try:
        await orders.start()
        yield orders.orders
    finally:
        await orders.stop()
        inventory.stop()
        print(orders.log.read_text()[-5000:], inventory.log()[-5000:])


async def test_an_order_is_confirmed_and_published(orders, redis, authority):
    async def confirmed():
        order = await place(orders)
        assert order.state == order_pb2.Order.State.CONFIRMED

    await passes(confirmed, 60)


async def place(orders):
    order = order_pb2.Order(lines=[order_pb2.OrderLine(product="products/enamel-mug", quantity=1)])
    request = order_service_pb2.CreateOrderRequest(order=order, request_id=str(uuid.uuid4()))
    return await orders.CreateOrder(request, metadata=CUSTOMER, timeout=10)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE outbox",
        "ALTER TABLE orders ADD COLUMN x int",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
        "TRUNCATE outbox",
        "CREATE TABLE x ()",
        "CREATE INDEX ON orders (lines)",
        "DROP FUNCTION count_placed_units CASCADE",
        "UPDATE schema_migrations SET version = ''",
        "RESET ROLE; DROP TABLE outbox",
        "COPY orders TO PROGRAM 'true'",
    ],
)
async def test_orders_changes_rows_and_no_schema(database_url, statement):
    pool = await database.connect(database_url, role=files.SERVING)
    try:
        assert await pool.fetchval("SELECT count(*) FROM orders") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    finally:
        await pool.close()


@pytest.mark.parametrize("command", ["FLUSHALL", "CONFIG GET *", "KEYS *", "SHUTDOWN", "ACL LIST", "REPLICAOF NO ONE"])
async def test_inventory_administers_no_redis(redis, command):
    async with Redis.from_url(redis.url(), password=PASSWORD) as client:
        assert await client.ping()
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command.split())


async def test_a_redis_of_another_authority_is_refused(redis, tmp_path):
    other = Authority(tmp_path, "other")
    async with Redis.from_url(redis.url(ca=other.ca), password=PASSWORD) as client:
        with pytest.raises(NoConnection, match="CERTIFICATE_VERIFY_FAILED"):
            await client.ping()


async def test_nobody_is_let_in_without_a_password(redis):
    async with Redis.from_url(redis.url(user="default")) as client:
        with pytest.raises(RedisError):
            await client.ping()
