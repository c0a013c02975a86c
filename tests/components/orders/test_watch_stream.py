"""WatchOrder over a real connection: when its headers are sent, and when it ends."""

import asyncio
import contextlib
import time
import uuid
from datetime import UTC, datetime

import grpc
import pytest
from google.rpc import code_pb2
from shop.orders.v1 import order_service_pb2, order_service_pb2_grpc

from orders_svc import api, rows
from orders_svc.changes import ChangeFeed
from orders_svc.order import Hold, Order
from orders_svc.watch import Subscriptions
from runtime import interceptors
from runtime.money import Money
from runtime.settings import ServiceSettings
from runtime.status import from_status
from tests.support.orders_port_suite import draft
from tests.unit.orders.test_watch import Pool

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANN = (("x-customer-id", "ann"),)


class Orders:
    """One order of Ann's, with all its versions."""

    def __init__(self):
        wanted = draft()
        self.versions = [Order.confirmed(wanted, Hold(1, {wanted.lines[0].product: Money("EUR", 1)}), AT)]

    @property
    def order(self):
        return self.versions[-1]

    async def get(self, _, order_id):
        return self.order

    async def history(self, since):
        return [
            (order_id, each.version, rows.snapshot_of(each))
            for order_id, first in since.items()
            for each in self.versions
            if order_id == each.id and each.version >= first
        ]


@pytest.fixture
def orders():
    return Orders()


@pytest.fixture
def pool():
    return Pool()


@contextlib.asynccontextmanager
async def serving(orders, pool, **settings):
    subscriptions = Subscriptions(ChangeFeed(pool, channel="c"), orders, max_watchers=3)
    task = asyncio.create_task(subscriptions.run())
    around = interceptors.wrappers(ServiceSettings(kafka_brokers="k:1"), "test")
    server = grpc.aio.server(interceptors=[interceptors.Interceptor(around)])
    servicer = api.OrderService(orders, None, subscriptions, **{"max_watch_s": 60, **settings})
    order_service_pb2_grpc.add_OrderServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield order_service_pb2_grpc.OrderServiceStub(channel)
    finally:
        await server.stop(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def watch(stub, orders, version=0, **headers):
    request = order_service_pb2.WatchOrderRequest(name=orders.order.name, from_version=version)
    metadata = (*ANN, *((name.replace("_", "-"), value) for name, value in headers.items()))
    return stub.WatchOrder(request, timeout=10, metadata=metadata)


async def rest_of(call):
    return [event async for event in call]


async def messages_of(call):
    return [event async for event in call if not event.HasField("heartbeat")]


async def test_a_resumed_watch_sends_headers_at_once(orders, pool):
    async with serving(orders, pool) as stub, asyncio.timeout(3):
        call = watch(stub, orders, version=2)
        await call.initial_metadata()
        # REST sends headers with the first event.
        assert (await call.read()).HasField("heartbeat")
        call.cancel()


@pytest.mark.parametrize("version", [2, 3, 99, 2**62])
async def test_a_watch_ends_with_its_order_even_below_the_requested_version(orders, pool, version):
    async with serving(orders, pool) as stub, asyncio.timeout(5):
        call = watch(stub, orders, version=version)
        await call.initial_metadata()
        orders.versions.append(orders.order.cancel(AT))
        pool.notify(orders.order.id)
        *changes, end = await messages_of(call)
    assert [each.order.version for each in changes] == ([2] if version == 2 else [])
    assert end.end.status.code == code_pb2.OK


async def test_a_watch_ends_after_its_limit_with_a_retryable_error(orders, pool):
    async with serving(orders, pool, max_watch_s=0.3) as stub, asyncio.timeout(5):
        *_, end = await rest_of(watch(stub, orders))
    assert (end.end.status.code, from_status(end.end.status).reason) == (code_pb2.ABORTED, "WATCH_ENDED")


async def test_a_watch_ends_when_the_callers_token_expires(orders, pool):
    async with serving(orders, pool) as stub, asyncio.timeout(5):
        *_, end = await rest_of(watch(stub, orders, x_token_exp=str(time.time() + 0.5)))
    assert (end.end.status.code, from_status(end.end.status).reason) == (code_pb2.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_an_idle_watch_sends_heartbeats(orders, pool, monkeypatch):
    monkeypatch.setattr(api, "HEARTBEAT_S", 0.1)
    async with serving(orders, pool, max_watch_s=0.55) as stub, asyncio.timeout(5):
        *events, _ = await rest_of(watch(stub, orders, version=2))
    assert 2 <= len(events) <= 6
    assert all(each.HasField("heartbeat") for each in events)


async def test_another_customers_watch_fails_before_any_headers(orders, pool):
    async def get(*_):
        raise api.Error("no", reason="X")

    orders.get, name = get, uuid.uuid4()
    async with serving(orders, pool) as stub:
        call = stub.WatchOrder(order_service_pb2.WatchOrderRequest(name=f"orders/{name}"), metadata=ANN)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rest_of(call)
    assert refused.value.code() is grpc.StatusCode.INTERNAL
