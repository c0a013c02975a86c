"""A Kafka for these tests, replicas of orders, and a stand-in for inventory."""

import asyncio
import contextlib
import functools
import time
import uuid

import confluent_kafka.admin
import pytest

from runtime import database
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import messages_to_end
from stores import files
from tests.support import waiting
from tests.support.kafka_server import running_kafka
from tests.support.replicas import OrdersReplica, migrate
from tests.support.stand_ins import InventoryServer


@pytest.fixture
async def pool(database_url):
    opened = await database.connect(database_url, role=files.SERVING, max_connections=8)
    yield opened
    await asyncio.wait_for(opened.close(), 5)


@pytest.fixture(scope="session")
def kafka():
    """Start a broker for these tests only, since they recreate the services' topics."""
    with running_kafka() as brokers:
        yield brokers


@pytest.fixture
def suffix():
    """Return a suffix that keeps one test's topics and groups apart from another's."""
    return uuid.uuid4().hex[:8]


@pytest.fixture
async def inventory():
    server = InventoryServer()
    server.servicer.stock = {"products/tea": 1_000_000, "products/pot": 5}
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def environment(database_url, kafka, inventory):
    """Return a replica's environment; the topics are recreated, so that tests do not see each other's messages."""
    settings = {
        "DATABASE_URL": database_url,
        "DATABASE_ROLE": files.SERVING,
        "KAFKA_BROKERS": kafka,
        "INVENTORY_ADDRESS": inventory.address,
        "SAGA_RETRY_DELAYS_S": "[1, 2, 3]",
    }
    await asyncio.to_thread(empty_topics, kafka)
    await asyncio.to_thread(migrate, "orders_svc", settings)
    return settings


def empty_topics(brokers):
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    names = [name for name in admin.list_topics(timeout=5).topics if not name.startswith("__")]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(10)
    groups = [each.group_id for each in admin.list_consumer_groups().result(10).valid]
    for future in admin.delete_consumer_groups(groups).values() if groups else ():
        with contextlib.suppress(confluent_kafka.KafkaException):
            future.result(10)
    end = time.monotonic() + 10
    while time.monotonic() < end and any(not n.startswith("__") for n in admin.list_topics(timeout=5).topics):
        time.sleep(0.1)


@pytest.fixture
async def replicas(environment, tmp_path):
    """Start replicas."""
    made = []

    async def start(count=1):
        new = [OrdersReplica(environment, tmp_path / f"orders-{len(made) + n}.log") for n in range(count)]
        made.extend(new)
        await asyncio.gather(*(each.start() for each in new))
        return new

    yield start
    for each in made:
        await each.stop()


def read_topic(brokers, name, *, within_s=10, at_least=1):
    """Return all records of a topic, once it has *at_least*."""
    end = time.monotonic() + within_s
    while True:
        found = list(messages_to_end(KafkaCluster(brokers), name, within_s=within_s))
        if len(found) >= at_least or time.monotonic() > end:
            return found
        time.sleep(0.2)


@pytest.fixture
def topic(kafka):
    return functools.partial(read_topic, kafka)


@pytest.fixture
def eventually():
    """`waiting.eventually` with the limits of these tests."""
    return functools.partial(waiting.eventually, within_s=15, every_s=0.2)
