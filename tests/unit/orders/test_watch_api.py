"""WatchOrder, on fakes of its ports: what it sends, in which order, and when it ends."""

import asyncio
import contextlib
import time

import pytest
from google.rpc import code_pb2
from shop.orders.v1 import order_pb2, order_service_pb2

from orders_svc.api import HEARTBEAT_S, OrderService
from orders_svc.checkout import Checkout
from orders_svc.watch import Subscriptions
from runtime.caller import EXPIRY
from tests.support.fakes.orders import FakeInventory, FakeOrders
from tests.unit.orders.test_api import Context, creation

MAX_WATCH_S = 100.0
PENDING, CONFIRMED, CANCELLED = order_pb2.Order.PENDING, order_pb2.Order.CONFIRMED, order_pb2.Order.CANCELLED


class Feed:
    """Notifications that a test sends."""

    def __init__(self):
        self.heard = None

    @contextlib.asynccontextmanager
    async def listen(self, heard):
        self.heard = heard
        yield self

    async def probe(self):
        """Find the connection well."""


class Watched:
    """The history of a shop's orders, and what is read of it."""

    def __init__(self, shop):
        self._shop = shop

    async def history(self, since):
        return [
            (order, version, snapshot)
            for (order, version), snapshot in sorted(self._shop.history.items(), key=lambda item: item[0][1])
            if version >= since.get(order, version + 1)
        ]


class Stream(Context):
    """The context of a streaming call."""

    started = False

    async def send_initial_metadata(self, metadata):
        assert metadata == ()
        self.started = True


class Fixture:
    """The API with its fakes; what it does to an order is notified."""

    def __init__(self):
        self.shop, self.inventory, self.feed = FakeOrders(), FakeInventory({"products/tea": 1000}), Feed()
        checkout = Checkout(self.shop, self.inventory, hold_timeout_s=1)
        self.subscriptions = Subscriptions(self.feed, Watched(self.shop), max_watchers=1)
        self.api = OrderService(checkout, None, self.subscriptions, max_watch_s=MAX_WATCH_S)

    async def place(self):
        return await self.api.CreateOrder(creation(), Context())

    async def cancel(self, order):
        request = order_service_pb2.CancelOrderRequest(name=order.name, request_id="r")
        await self.api.CancelOrder(request, Context())
        self.feed.heard(order.name.removeprefix("orders/"))

    def watch(self, order, *, from_version=0, context=None):
        request = order_service_pb2.WatchOrderRequest(name=order.name, from_version=from_version)
        return self.api.WatchOrder(request, context or Stream())

    async def all(self, order, **options):
        """Return what a whole stream sends, in words."""
        return [_word(each) async for each in self.watch(order, **options)]


def _word(response):
    kind = response.WhichOneof("event")
    if kind == "order":
        return response.order.version, response.order.state
    return response.end.status.code if kind == "end" else kind


@pytest.fixture
async def fixture():
    fixture = Fixture()
    task = asyncio.create_task(fixture.subscriptions.run())
    await asyncio.sleep(0.01)
    yield fixture
    task.cancel()


async def test_a_final_order_is_sent_and_ends_the_stream(fixture):
    order = await fixture.place()
    await fixture.cancel(order)
    assert await fixture.all(order) == [(2, CANCELLED), code_pb2.OK]


async def test_every_version_from_the_one_asked_for_is_sent(fixture):
    order = await fixture.place()
    await fixture.cancel(order)
    assert await fixture.all(order, from_version=1) == [(1, CONFIRMED), (2, CANCELLED), code_pb2.OK]


async def test_a_final_order_that_was_seen_ends_the_stream_at_once(fixture):
    order, context = await fixture.place(), Stream()
    await fixture.cancel(order)
    assert await fixture.all(order, from_version=3, context=context) == [code_pb2.OK]
    assert not context.started


async def test_an_order_that_is_not_final_is_watched_on(fixture):
    order, context = await fixture.place(), Stream()
    stream = fixture.watch(order, context=context)
    assert (_word(await anext(stream)), context.started) == ((1, CONFIRMED), True)
    await fixture.cancel(order)
    assert [_word(each) async for each in stream] == [(2, CANCELLED), code_pb2.OK]


async def test_a_client_that_has_the_present_version_gets_a_heartbeat_first(fixture):
    order = await fixture.place()
    stream = fixture.watch(order, from_version=2)
    assert _word(await anext(stream)) == "heartbeat"
    await fixture.cancel(order)
    assert [_word(each) async for each in stream] == [(2, CANCELLED), code_pb2.OK]


async def test_a_client_that_waits_for_a_version_that_never_comes_is_told_the_end(fixture):
    order = await fixture.place()
    stream = fixture.watch(order, from_version=7)
    assert _word(await anext(stream)) == "heartbeat"
    await fixture.cancel(order)
    assert [_word(each) async for each in stream] == [code_pb2.OK]


async def test_a_quiet_stream_has_heartbeats_until_its_time_is_up(fixture):
    order = await fixture.place()
    assert await fixture.all(order) == [
        (1, CONFIRMED),
        *["heartbeat"] * int(MAX_WATCH_S / HEARTBEAT_S),
        code_pb2.ABORTED,
    ]


async def test_a_stream_ends_with_the_token(fixture):
    order = await fixture.place()
    context = Stream(**{EXPIRY.replace("-", "_"): str(time.time() + 2)})
    assert await fixture.all(order, context=context) == [(1, CONFIRMED), code_pb2.UNAUTHENTICATED]


async def test_a_stopping_replica_says_so_as_an_event(fixture):
    order = await fixture.place()
    stream = fixture.watch(order)
    assert _word(await anext(stream)) == (1, CONFIRMED)
    fixture.subscriptions.end()
    assert [_word(each) async for each in stream] == [code_pb2.UNAVAILABLE]
