"""A Redis of its own for each module, emptied for each test; Kafka where a test asks for it."""

import os
import tempfile
import uuid
from pathlib import Path

import pytest

from inventory_svc.connection import connect
from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.scripts import FORMAT, MARKER, REBUILD_LOCK, Scripts
from inventory_svc.stock import Listing, Money, Receipt
from inventory_svc.store import Limits, Store
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
PREFIX = "stock:test:"


def order_id(name):
    """The id of an order that a test calls *name*: always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


async def marked(redis, generation, *, prefix=PREFIX):
    """An empty stock takes effect, as at the end of a rebuild."""
    scripts = Scripts(redis, CurrentGeneration())
    await redis.set(REBUILD_LOCK, "test")
    header = ("test", generation, prefix, FORMAT)
    assert await scripts.call_alone("activate", [MARKER, REBUILD_LOCK], *header)
    await redis.delete(REBUILD_LOCK)


def store_on(redis, current, *, lease_ms=LEASE_MS, grace_ms=0, backlog_limit=100_000, keep_ms=600_000, remembered=1000):
    limits = Limits(lease_ms, grace_ms, keep_ms, backlog_limit, remembered)
    return Store(Scripts(redis, current), current, limits)


async def fresh_store(redis, *, generation=1, prefix=PREFIX, **limits):
    """An empty stock in its first generation."""
    await marked(redis, generation, prefix=prefix)
    current = CurrentGeneration()
    current.adopt(Position(generation))
    store = store_on(redis, current, **limits)
    store.current = current
    return store


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
