"""A Redis for each module, emptied for each test; Kafka where a test needs it."""

import asyncio
import tempfile

import pytest

from inventory_svc.connection import connect
from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.scripts import FORMAT, MARKER, REBUILD_LOCK, Scripts
from inventory_svc.store import Limits, Store
from tests.support.kafka_server import running_kafka
from tests.support.redis_server import RedisServer
from tests.support.stock_port_suite import StockPortSuite, furnished


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
    client = connect(redis_server.url, connect_timeout_s=5, timeout_s=20)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def kafka():
    with running_kafka() as brokers:
        yield brokers


LEASE_MS = 60_000
PREFIX = "stock:test:"


async def marked(redis, generation, *, prefix=PREFIX):
    """Activate an empty stock, as at the end of a rebuild."""
    scripts = Scripts(redis, CurrentGeneration())
    await redis.set(REBUILD_LOCK, "test")
    header = ("test", generation, prefix, FORMAT)
    assert await scripts.call_alone("activate", [MARKER, REBUILD_LOCK], *header)
    await redis.delete(REBUILD_LOCK)


def store_on(redis, current, *, lease_ms=LEASE_MS, grace_ms=0, backlog_limit=100_000, keep_ms=600_000, remembered=1000):
    limits = Limits(lease_ms, grace_ms, keep_ms, backlog_limit, remembered)
    return Store(Scripts(redis, current), current, limits)


async def fresh_store(redis, *, generation=1, prefix=PREFIX, **limits):
    """Return an empty stock in its first generation."""
    await marked(redis, generation, prefix=prefix)
    current = CurrentGeneration()
    current.adopt(Position(generation))
    store = store_on(redis, current, **limits)
    store.current = current
    return store


class StockOnScriptsSuite(StockPortSuite):
    """The port's test suite on the real store and its real scripts; subclasses have a fixture `redis`."""

    @pytest.fixture
    def make_store(self, redis):
        async def make(**limits):
            await redis.flushall()
            return await fresh_store(redis, **limits)

        return make

    @pytest.fixture
    def pass_time(self):
        return asyncio.sleep


@pytest.fixture
async def store(redis):
    """Return a stock of ten mugs and three pens."""
    return await furnished(await fresh_store(redis))
