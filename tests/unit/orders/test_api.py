"""The gRPC API of orders, on fakes of its ports."""

import uuid

import pytest
from google.rpc import code_pb2
from shop.orders.v1 import allocation_service_pb2, order_pb2, order_service_pb2

from orders_svc.api import MAX_SLICE, AllocationService, OrderService
from orders_svc.checkout import Checkout
from orders_svc.listing import PLACE_BYTES, Listing
from orders_svc.order import State
from orders_svc.ports import Started
from orders_svc.watch import Subscriptions
from runtime.errors import FieldViolation, InvalidArgument
from runtime.page_token import PageTokens
from runtime.status import from_status
from tests.support.fakes.orders import FakeInventory, FakeOrders


class Context:
    """The context of a call by a customer or an operator; records what is sent."""

    def __init__(self, customer="ann", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._metadata = tuple({"x-customer-id": customer, **named}.items())
        self.sent = {}

    def invocation_metadata(self):
        return self._metadata

    def set_trailing_metadata(self, metadata):
        self.sent = dict(metadata)


class Shop(FakeOrders):
    """Orders that can also be listed and watched."""

    async def list(self, *, customer, states, before, limit):
        found = [each for each in self.orders.values() if each.state in states and customer in (None, each.customer)]
        newest = sorted(found, key=lambda each: (each.create_time, each.id), reverse=True)
        return [each for each in newest if (each.create_time, each.id) < before][:limit]


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def inventory():
    return FakeInventory({"products/tea": 1000})


@pytest.fixture
def api(shop, inventory):
    listing = Listing(shop, PageTokens(b"key", method="ListOrders", place_bytes=PLACE_BYTES))
    checkout = Checkout(shop, inventory, hold_timeout_s=1)
    return OrderService(checkout, listing, Subscriptions(None, shop, max_watchers=1), max_watch_s=1)


def creation(request_id=None, quantity=2, product="products/tea"):
    order = order_pb2.Order(lines=[order_pb2.OrderLine(product=product, quantity=quantity)])
    return order_service_pb2.CreateOrderRequest(order=order, request_id=request_id or str(uuid.uuid4()))


async def test_a_placed_order_has_location_and_etag_headers(api, inventory):
    context = Context()
    order = await api.CreateOrder(creation(), context)
    assert order.state == order_pb2.Order.CONFIRMED
    assert [(line.product, line.quantity) for line in order.lines] == [("products/tea", 2)]
    assert context.sent == {"x-http-code": "201", "location": f"/v1/{order.name}", "etag": order.etag}
    assert inventory.stock["products/tea"] == 998


async def test_a_pending_order_is_202(api, inventory):
    inventory.down = True
    context = Context()
    assert (await api.CreateOrder(creation(), context)).state == order_pb2.Order.PENDING
    assert context.sent["x-http-code"] == "202"


async def test_a_replay_is_marked(api):
    first, again, request = Context(), Context(), creation()
    assert await api.CreateOrder(request, first) == await api.CreateOrder(request, again)
    assert "idempotency-replayed" not in first.sent
    assert again.sent["idempotency-replayed"] == "true"


async def test_inventorys_field_paths_are_translated_to_the_request(api, inventory):
    async def refuse(order_id, lines):
        fields = [FieldViolation("lines[0].product", "no such product"), FieldViolation("request_id", "is odd")]
        raise InvalidArgument("no", fields=fields)

    inventory.hold = refuse
    with pytest.raises(InvalidArgument) as refused:
        await api.CreateOrder(creation(), Context())
    assert [each.field for each in refused.value.fields] == ["order.lines[0].product", "request_id"]
    assert refused.value.fields[0].description == "no such product"


async def test_a_read_order_has_its_etag(api):
    order, context = await api.CreateOrder(creation(), Context()), Context()
    assert await api.GetOrder(order_service_pb2.GetOrderRequest(name=order.name), context) == order
    assert context.sent == {"etag": order.etag}


async def test_a_cancelled_order_releases_its_units(api, inventory, shop):
    order, context = await api.CreateOrder(creation(), Context()), Context()
    request = order_service_pb2.CancelOrderRequest(name=order.name, request_id="r", etag=order.etag)
    cancelled = await api.CancelOrder(request, context)
    assert cancelled.state == order_pb2.Order.CANCELLED
    assert (context.sent["x-http-code"], context.sent["etag"]) == ("200", cancelled.etag)
    [stored] = shop.orders.values()
    assert stored.state is State.CANCELLED


async def test_an_operator_fulfils_an_order(api):
    order = await api.CreateOrder(creation(), Context())
    context = Context("op", x_operator="true")
    request = order_service_pb2.FulfilOrderRequest(name=order.name, request_id="r")
    assert (await api.FulfilOrder(request, context)).state == order_pb2.Order.FULFILLED
    assert context.sent["x-http-code"] == "200"


async def test_orders_are_listed_by_state_and_page(api):
    orders = [await api.CreateOrder(creation(), Context()) for _ in range(3)]
    await api.CancelOrder(order_service_pb2.CancelOrderRequest(name=orders[0].name, request_id="r"), Context())

    async def names(**wanted):
        answer = await api.ListOrders(order_service_pb2.ListOrdersRequest(**wanted), Context())
        return [each.name for each in answer.orders], answer.next_page_token

    newest_first = [each.name for each in reversed(orders)]
    assert await names() == (newest_first, "")
    assert await names(state=order_pb2.Order.CANCELLED) == ([orders[0].name], "")
    page, token = await names(page_size=2)
    assert page == newest_first[:2]
    assert await names(page_size=2, page_token=token) == (newest_first[2:], "")


async def test_each_order_of_a_batch_has_its_own_outcome_in_order(api):
    count = 2 * MAX_SLICE + 3
    requests = [creation(quantity=1) for _ in range(count)]
    requests[1] = creation(quantity=10_000)
    requests[MAX_SLICE] = creation(request_id="no uuid")
    requests[-1].order.ClearField("lines")
    batch = order_service_pb2.BatchCreateOrdersRequest(requests=requests)
    outcomes = (await api.BatchCreateOrders(batch, Context())).outcomes
    assert len(outcomes) == count
    failed = {number: from_status(each.error).reason for number, each in enumerate(outcomes) if each.HasField("error")}
    assert failed.keys() == {1, MAX_SLICE, count - 1}
    assert failed[MAX_SLICE] == failed[count - 1]
    assert len({each.order.name for each in outcomes if each.HasField("order")}) == count - 3


async def test_an_internal_error_in_a_batch_reveals_nothing(api, shop):
    async def broken(placement):
        raise RuntimeError("secret")

    shop.place = broken
    batch = order_service_pb2.BatchCreateOrdersRequest(requests=[creation()])
    [outcome] = (await api.BatchCreateOrders(batch, Context())).outcomes
    assert outcome.error.code == code_pb2.INTERNAL
    assert "secret" not in str(outcome)


class Allocations:
    """Records the queries on the orders' table, and returns fixed results."""

    def __init__(self):
        self.calls = []

    async def start_generation(self, *, above):
        self.calls.append(above)
        return Started(above + 1, {"products/tea": 3})

    async def generation(self):
        return 6

    async def owners(self, orders, *, generation):
        self.calls.append((orders, generation))
        return orders[:1]


async def test_the_allocation_service_returns_owned_units():
    allocations, ids = Allocations(), [uuid.UUID(int=number) for number in (1, 2)]
    service = AllocationService(allocations)
    started = await service.StartGeneration(allocation_service_pb2.StartGenerationRequest(above=4), Context())
    assert (started.generation, [(each.product, each.units) for each in started.sold]) == (5, [("products/tea", 3)])
    assert (await service.GetGeneration(allocation_service_pb2.GetGenerationRequest(), Context())).generation == 6
    names = [f"orders/{each}" for each in ids]
    request = allocation_service_pb2.CheckAllocationsRequest(orders=names, generation=5)
    assert list((await service.CheckAllocations(request, Context())).orders) == names[:1]
    assert allocations.calls == [4, (ids, 5)]
