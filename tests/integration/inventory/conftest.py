"""A Redis of its own for each module, emptied for each test; Kafka where a test asks for it."""

import os
import tempfile
from pathlib import Path

import pytest

from inventory_svc.connection import connect
from inventory_svc.scripts import MARKER, REBUILD_LOCK, Position, Scripts
from inventory_svc.stock import Listing, Money, Receipt
from inventory_svc.store import Store
from stack import settings as stack_settings
from tests.integration.inventory.servers import CHECKOUT, KAFKA, KafkaServer, RedisServer, free_port


@pytest.fixture(scope="module")
def redis_server():
    with tempfile.TemporaryDirectory(prefix="inventory-redis-") as folder:
        server = RedisServer(folder)
        try:
            yield server.start()
        finally:
            server.kill()


@pytest.fixture
async def redis(redis_server):
    client = connect(redis_server.url, connect_timeout_s=0.5, timeout_s=1)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def kafka():
    """The brokers' address; INVENTORY_TEST_KAFKA names ones that run already."""
    if given := os.environ.get("INVENTORY_TEST_KAFKA"):
        yield given
        return
    libs = stack_settings.read(os.environ, checkout=CHECKOUT).kafka_libs
    assert list(Path(libs).glob("kafka_2.13-*.jar")), f"no Kafka in {libs}: `make test` installs it"
    with tempfile.TemporaryDirectory(prefix="inventory-kafka-") as folder:
        server = KafkaServer(folder, libs, free_port(KAFKA))
        try:
            yield server.start().brokers
        finally:
            server.kill()


LEASE_MS = 60_000


async def fresh_store(redis, *, generation=1, lease_ms=LEASE_MS, grace_ms=0, backlog_limit=100_000):
    """An empty stock in its first generation."""
    scripts = Scripts(redis)
    await redis.set(REBUILD_LOCK, "test")
    assert await scripts.call_alone("start_generation", [MARKER, REBUILD_LOCK], "test", generation)
    await redis.delete(REBUILD_LOCK)
    scripts.adopt(Position(generation))
    return Store(scripts, lease_ms=lease_ms, grace_ms=grace_ms, keep_ms=600_000, backlog_limit=backlog_limit)


async def list_product(store, name, units, *, low=0):
    price = Money("EUR", 12, 900_000_000)
    await store.list_product(Listing(name, name.title(), f"A {name}.", price, low), 1)
    if units:
        await store.receive(Receipt(f"test {name}", name, units))


@pytest.fixture
async def store(redis):
    """A mug of which there are ten, a pen of which there are three."""
    store = await fresh_store(redis)
    await list_product(store, "mug", 10)
    await list_product(store, "pen", 3)
    return store
