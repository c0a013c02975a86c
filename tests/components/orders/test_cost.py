"""The number of statements and Kafka requests per order; more of them fail the test."""

import asyncio
import json
from collections import Counter

import confluent_kafka
import grpc
import pytest
from shop.inventory.v1 import inventory_service_pb2_grpc
from shop.orders.v1 import order_pb2, order_service_pb2

from orders_svc import sql
from orders_svc.api import OrderService
from orders_svc.breaker import Breaker
from orders_svc.checkout import Checkout
from orders_svc.inventory_client import MeshInventory
from orders_svc.order import Draft, Line
from orders_svc.store import Store
from orders_svc.topics import ORDER_EVENTS
from runtime.messaging import relay
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.publisher import Publisher
from runtime.messaging.relay import Relay
from runtime.messaging.topics import Topic, ensure_topics
from runtime.notifier import Notifier
from tests.support.fakes.orders import FakeInventory

TOGETHER = 100
"""Orders that arrive concurrently; no more than one batch."""
LONG_S = 0.5
"""A linger time so long that the number of requests does not depend on how busy the machine is."""


class Statements:
    """Counts the statements sent to PostgreSQL over a pool's connections."""

    def __init__(self):
        self.sent = Counter()

    async def listen_to(self, pool):
        sessions = [await pool.acquire() for _ in range(pool.get_max_size())]
        for session in sessions:
            session.add_query_logger(self._note)
        for session in sessions:
            await pool.release(session)
        await self.settle()

    async def settle(self):
        """Wait a turn of the loop, in which asyncpg calls its loggers."""
        await asyncio.sleep(0.05)

    def _note(self, record):
        self.sent[" ".join(record.query.split())] += 1

    def of(self, *texts):
        """Return how many of the statements *texts* were sent."""
        return sum(self.sent[" ".join(text.split())] for text in texts)


@pytest.fixture
async def statements(pool):
    counted = Statements()
    await counted.listen_to(pool)
    counted.sent.clear()
    return counted


@pytest.fixture
def notifier(pool):
    return Notifier(pool)


@pytest.fixture
def checkout(pool, notifier):
    inventory = FakeInventory(stock={"products/tea": 10_000})
    return Checkout(Store(pool, notifier), inventory, hold_timeout_s=2)


def draft(number):
    return Draft("ann", f"k{number}", (Line("products/tea", 1),))


@pytest.mark.parametrize("count", [1, TOGETHER])
async def test_concurrent_orders_cost_two_statements(checkout, statements, count):
    """One finds earlier responses, one stores; neither has a BEGIN, a COMMIT or a reset around it."""
    # The first statement on a connection looks up the types of its parameters.
    await checkout.place(draft("first"))
    await statements.settle()
    statements.sent.clear()
    await asyncio.gather(*(checkout.place(draft(number)) for number in range(count)))
    await statements.settle()
    assert statements.of(sql.FIND.text) == statements.of(sql.PLACE.text) == 1
    assert sum(statements.sent.values()) == 2, statements.sent


class Context:
    """The part of a call's context that a servicer uses."""

    @staticmethod
    def invocation_metadata():
        return (("x-customer-id", "ann"),)


async def test_a_batch_is_one_call_to_inventory_and_one_commit(pool, statements, notifier, inventory):
    """Its orders start together; starting each after its validation would hold them one after the other."""
    line = order_pb2.OrderLine(product="products/tea", quantity=1)

    def batch(name, count):
        requests = [
            order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=[line]), request_id=f"{name}{number}")
            for number in range(count)
        ]
        return order_service_pb2.BatchCreateOrdersRequest(requests=requests)

    async with grpc.aio.insecure_channel(inventory.address) as channel:
        stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)
        mesh = MeshInventory(stub, Breaker("inventory"), timeout_s=10)
        service = OrderService(Checkout(Store(pool, notifier), mesh, hold_timeout_s=10), None, None, max_watch_s=1)
        await service.BatchCreateOrders(batch("first", 1), Context)
        await statements.settle()
        statements.sent.clear()
        calls = inventory.servicer.calls
        answer = await service.BatchCreateOrders(batch("k", TOGETHER), Context)
    await statements.settle()
    assert {each.order.state for each in answer.outcomes} == {order_pb2.Order.CONFIRMED}
    assert inventory.servicer.calls - calls == 1
    assert sum(statements.sent.values()) == 2, statements.sent


async def test_publishing_costs_a_few_statements_and_requests(checkout, statements, notifier, pool, kafka, monkeypatch):
    """Notifications, the outbox and Kafka: for a hundred orders hardly more than for one."""
    requests = Counter()
    monkeypatch.setattr(confluent_kafka, "Producer", counting(confluent_kafka.Producer, requests))
    monkeypatch.setattr(relay, "GATHER_S", LONG_S)
    ensure_topics(KafkaCluster(kafka), [Topic(ORDER_EVENTS)])
    async with Publisher(KafkaCluster(kafka), client_id="test") as publisher:
        tasks = [asyncio.create_task(work) for work in (Relay(pool, publisher, poll_s=5).run(), notifier.run())]
        await asyncio.sleep(1)
        statements.sent.clear()
        await asyncio.gather(*(checkout.place(draft(number)) for number in range(TOGETHER)))
        async with asyncio.timeout(20):
            while not statements.of(relay.DELETE):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        await asyncio.sleep(2 * LONG_S)
        sent = Counter(statements.sent)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    # Each shard publishes its own batch, so the rows may take two.
    assert sent[" ".join(relay.DELETE.split())] <= 2, sent
    assert sent[" ".join(relay.SELECT_BATCH.split())] <= 4, sent
    assert sent["SELECT pg_notify($1, $2)"] <= 2, sent
    # One for each of the topic's four partitions and each of at most two batches.
    assert requests["Produce"] <= 8, requests


def counting(producer, requests):
    """Return a producer that counts in *requests* the requests of each kind."""

    def note(statistics):
        for broker in json.loads(statistics)["brokers"].values():
            for kind, count in broker["req"].items():
                requests[kind] = max(requests[kind], count)

    def make(settings):
        long_linger = {"linger.ms": int(LONG_S * 1000)}
        return producer({**settings, **long_linger, "stats_cb": note, "statistics.interval.ms": 100})

    return make
