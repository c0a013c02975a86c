"""What is stored about a customer is exported in pages and erased in slices."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from shop.orders.v1 import operations_service_pb2 as messages
from shop.orders.v1 import order_pb2

from orders_svc import customer_data
from orders_svc.checkout import Checkout
from orders_svc.customer_data import PLACE_BYTES, CustomerData
from orders_svc.operations import OperationsService
from orders_svc.operations_ports import StoredCounts
from orders_svc.order import ERASED
from orders_svc.ports import Request
from orders_svc.refusals import OpenOrders
from runtime.caller import Caller, customer_name, is_customer
from runtime.deadline import ends_in
from runtime.errors import InvalidArgument
from runtime.page_token import PageTokens
from runtime.refusals import OperatorOnly
from runtime.validation import check
from tests.support.customers_port_suite import CustomersPortSuite, cancelled, fulfilled
from tests.support.fakes.customers import FakeCustomers
from tests.support.fakes.orders import FakeInventory, FakeOrders
from tests.support.orders_port_suite import confirmed, draft, pending

OTTO = Caller("otto", operator=True)
ANN = "customers/ann"
AT = datetime(2026, 5, 6, tzinfo=UTC)


@pytest.fixture
def orders():
    return FakeOrders()


@pytest.fixture
def records(orders):
    return FakeCustomers(orders)


@pytest.fixture
def data(records):
    return CustomerData(records, PageTokens(b"key", method="ExportCustomer", place_bytes=PLACE_BYTES), clock=lambda: AT)


class TestFakeCustomers(CustomersPortSuite):
    @pytest.fixture
    def published(self, orders):
        async def rows():
            return [(record.topic, record.value) for record in orders.events]

        return rows


class Context:
    def __init__(self, operator=True):
        self._operator = operator

    def invocation_metadata(self):
        return (("x-customer-id", "otto"), ("x-operator", "true" if self._operator else "false"))


def service(data):
    return OperationsService(None, None, None, None, None, data)


async def whole(data, name, size):
    """Return every page of an export."""
    pages = [await data.export(OTTO, name, size=size, token="")]
    while pages[-1].next_token:
        assert len(pages) < 50
        pages.append(await data.export(OTTO, name, size=size, token=pages[-1].next_token))
    return pages


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 9, 50, 1000])
async def test_an_export_has_everything_once_however_large_its_pages(data, orders, size):
    made = [await fulfilled(orders, draft(f"f{n}")) for n in range(3)]
    made += [await cancelled(orders, draft("c0"), key="x" * 128), await cancelled(orders, draft("c1"))]
    await orders.place(pending(draft("p")))
    await fulfilled(orders, draft(customer="bob"))
    pages = await whole(data, ANN, size)
    found = [order for page in pages for order in page.orders]
    assert len(found) == len({order.id for order in found}) == 6
    assert {order.customer for order in found} == {"ann"}
    requests = [each.request_id for page in pages for each in page.requests]
    assert requests == sorted(["f0", "f1", "f2", "c0", "c1", "p", "x" * 128])
    assert all(len(page.orders) + len(page.requests) == min(size, 50) for page in pages[:-1])
    versions = {order_id: [v.version for v in each] for page in pages for order_id, each in page.versions.items()}
    assert versions[made[0].id] == versions[made[3].id] == [1, 2]


async def test_a_page_has_fifty_at_most(data, orders):
    for _ in range(51):
        await fulfilled(orders)
    assert [len((await data.export(OTTO, ANN, size=n, token="")).orders) for n in (0, 50, 51, 10**9)] == [50] * 4


async def test_an_export_of_nobody_is_empty(data):
    page = await data.export(OTTO, ANN, size=0, token="")
    assert (page.orders, page.requests, page.next_token) == ([], [], "")


@pytest.mark.parametrize("token", ["x", "AAAA", "ä", "=" * 100])
async def test_a_token_that_is_no_token_is_refused(data, token):
    with pytest.raises(InvalidArgument) as refused:
        await data.export(OTTO, ANN, size=1, token=token)
    assert refused.value.reason == "INVALID_PAGE_TOKEN"


async def test_a_token_of_another_customer_is_refused(data, orders):
    for customer in ("ann", "bob"):
        for _ in range(2):
            await fulfilled(orders, draft(customer=customer))
    token = (await data.export(OTTO, ANN, size=1, token="")).next_token
    with pytest.raises(InvalidArgument) as refused:
        await data.export(OTTO, "customers/bob", size=1, token=token)
    assert refused.value.reason == "INVALID_PAGE_TOKEN"


async def test_an_erased_customer_is_nowhere_and_all_orders_are_there(data, orders):
    made = [await fulfilled(orders), await cancelled(orders, draft("a"), key="b")]
    before = [order.total for order in orders.orders.values()]
    erased = await data.erase(OTTO, ANN, reference="")
    assert (erased.orders, erased.requests, erased.done) == (2, 3, True)
    assert {order.id for order in made} == set(orders.orders)
    assert [order.total for order in orders.orders.values()] == before
    everything = repr((orders.orders, orders.history, orders.keys, orders.events))
    assert "ann" not in everything
    assert (await whole(data, ANN, 50))[0].orders == []


async def test_a_repeated_erasure_finds_nothing_and_is_done(data, orders):
    await fulfilled(orders)
    await data.erase(OTTO, ANN, reference="")
    events = list(orders.events)
    erased = await data.erase(OTTO, ANN, reference="")
    assert (erased.orders, erased.requests, erased.done) == (0, 0, True)
    assert orders.events == events


@pytest.mark.parametrize("placement", [pending, confirmed])
async def test_nothing_is_erased_while_an_order_is_open(data, orders, placement):
    await fulfilled(orders)
    await orders.place(placement(draft()))
    with pytest.raises(OpenOrders) as refused:
        await data.erase(OTTO, ANN, reference="")
    assert refused.value.metadata == {"open_orders": "1"}
    assert "ann" not in refused.value.message
    assert {order.customer for order in orders.orders.values()} == {"ann"}
    assert len(orders.keys) == 2


async def test_a_large_customer_takes_several_calls_each_with_its_counts(data, orders, monkeypatch):
    monkeypatch.setattr(customer_data, "SLICE", 3)
    monkeypatch.setattr(customer_data, "MAX_SLICES", 2)
    for _ in range(10):
        await fulfilled(orders)
    calls = [await data.erase(OTTO, ANN, reference="") for _ in range(2)]
    assert [(each.orders, each.requests, each.done) for each in calls] == [(6, 6, False), (4, 4, True)]
    assert calls[0].left == StoredCounts(open=0, final=4, requests=4)


async def test_a_call_whose_time_is_short_does_one_slice(data, orders, monkeypatch):
    monkeypatch.setattr(customer_data, "SLICE", 1)
    for _ in range(4):
        await fulfilled(orders)
    with ends_in(0):
        assert (await data.erase(OTTO, ANN, reference="")).orders == 1
    assert (await data.erase(OTTO, ANN, reference="")).done


@pytest.mark.parametrize(("waits_s", "slices"), [(100, 4), (6, 3), (1, 1)])
async def test_a_call_takes_four_seconds_or_half_of_what_its_caller_waits(data, records, monkeypatch, waits_s, slices):
    limits = []

    async def erase_orders(customer, *, at, limit):
        limits.append(limit)
        await asyncio.sleep(1)
        return limit

    records.erase_orders = erase_orders
    with ends_in(waits_s):
        assert (await data.erase(OTTO, ANN, reference="")).orders == slices * 100
    assert limits == [100] * slices


async def test_a_call_does_two_thousand_orders_at_most(data, records):
    async def erase_orders(customer, *, at, limit):
        return limit

    records.erase_orders = erase_orders
    assert (await data.erase(OTTO, ANN, reference="")).orders == 2000


async def test_no_more_is_read_than_a_page_and_one(data, records, orders):
    limits = []
    read_orders, read_requests = records.orders, records.requests

    async def some_orders(customer, *, before, limit):
        limits.append(limit)
        return await read_orders(customer, before=before, limit=limit)

    async def some_requests(customer, *, after, limit):
        limits.append(limit)
        return await read_requests(customer, after=after, limit=limit)

    records.orders, records.requests = some_orders, some_requests
    for _ in range(3):
        await fulfilled(orders)
    await data.export(OTTO, ANN, size=2, token="")
    await data.export(OTTO, ANN, size=5, token="")
    assert limits == [3, 6, 3]


async def test_an_order_that_is_placed_meanwhile_is_reported_and_kept(data, records, orders):
    await fulfilled(orders)
    erase = records.erase_requests

    async def ordered_meanwhile(customer, *, limit):
        await orders.place(pending(draft("meanwhile")))
        records.erase_requests = erase
        return 0

    records.erase_requests = ordered_meanwhile
    erased = await data.erase(OTTO, ANN, reference="")
    assert (erased.done, erased.left.open) == (False, 1)


async def test_an_order_that_is_placed_meanwhile_ends_the_erasure_at_the_next_slice(data, records, orders, monkeypatch):
    monkeypatch.setattr(customer_data, "SLICE", 1)
    for _ in range(3):
        await fulfilled(orders)
    erase = records.erase_requests

    async def ordered_meanwhile(customer, *, limit):
        await orders.place(pending(draft("meanwhile")))
        return await erase(customer, limit=limit)

    records.erase_requests = ordered_meanwhile
    erased = await data.erase(OTTO, ANN, reference="")
    assert (erased.orders, erased.requests, erased.left) == (1, 1, StoredCounts(open=1, final=2, requests=3))
    with pytest.raises(OpenOrders):
        await data.erase(OTTO, ANN, reference="")


async def test_a_repeat_of_a_request_of_an_erased_order_places_no_second_one(data, orders):
    """As after a request id is pruned: the order's id follows from it. PostgreSQL's store finds the answer itself."""
    wanted = draft("k")
    order = await cancelled(orders, wanted)
    await data.erase(OTTO, ANN, reference="")
    assert wanted.order_id == order.id
    assert await orders.find_answer(Request.of(wanted)) is None
    assert (await orders.get(order.id)).customer == ERASED


async def test_nobody_can_be_the_erased_customer(data, orders):
    order = await fulfilled(orders)
    await data.erase(OTTO, ANN, reference="")
    assert not is_customer(ERASED)
    for name in ("ann", "erased"):
        with pytest.raises(Exception, match="does not exist"):
            await Checkout(orders, FakeInventory(), hold_timeout_s=1).get(Caller(name), order.id)
    for name in (customer_name(ERASED), "customers/erased"):
        assert await _is_nobody(data, name)


async def _is_nobody(data, name):
    """Return whether *name* is refused, or has nothing."""
    try:
        return (await data.count(name)).left == StoredCounts(0, 0, 0)
    except InvalidArgument:
        return True


async def test_an_erasure_is_logged_with_who_and_how_much_but_not_with_the_name(data, orders):
    await fulfilled(orders)
    with structlog.testing.capture_logs() as logs:
        await data.export(OTTO, ANN, size=0, token="")
        await data.erase(OTTO, ANN, reference="TICKET-7")
    assert [each["event"] for each in logs] == ["customer_exported", "customer_erased"]
    entry = logs[1]
    assert (entry["operator"], entry["reference"], entry["orders"], entry["requests"]) == ("otto", "TICKET-7", 1, 1)
    assert "ann" not in repr(logs)


async def test_what_was_erased_before_a_failure_is_logged(data, records, orders):
    await fulfilled(orders)

    async def fail(customer, *, limit):
        raise TimeoutError

    records.erase_requests = fail
    with structlog.testing.capture_logs() as logs, pytest.raises(TimeoutError):
        await data.erase(OTTO, ANN, reference="")
    assert [(each["event"], each["orders"]) for each in logs] == [("customer_erased", 1)]


async def _call(data, method, name):
    """Call *method* as the server does: what breaks a rule of the contract does not reach it."""
    request = getattr(messages, f"{method}Request")(name=name)
    check(request)
    return await getattr(service(data), method)(request, Context())


# Names that are not spelled as `Order.customer` has them: decoded they would be somebody else, or nobody.
WRONG = [
    "customers/",
    "customers/a/b",
    "customers/%61nn",
    "customers/a%2fb",
    "customers/a b",
    "customers/%20erased",
    "customers/erased%20",
    "customers/a%00",
    "customers/a%0Ab",
    "customers/%C3%A9",
    "customers/%FF",
    "customers/%",
    "customers/%4",
    "customers/a?b",
    "customers/a#b",
    "customers/" + "x" * 256,
    "customers/" + "%20" * 100,
    "customers/é",
    "orders/ann",
    "ann",
    "",
    "customers/-\n",
    "customers/customers/ann",
]


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("method", ["ExportCustomer", "EraseCustomer"])
async def test_a_name_that_no_order_has_is_refused_and_not_repeated(data, orders, method, name):
    for customer in ("ann", "erased"):
        await fulfilled(orders, draft(customer=customer))
    with pytest.raises(InvalidArgument) as refused:
        await _call(data, method, name)
    assert [each.field for each in refused.value.fields] == ["name"] * len(refused.value.fields)
    told = f"{refused.value.message}{refused.value.metadata}"
    assert len(name) < 12 or name not in told
    assert ERASED not in {order.customer for order in orders.orders.values()}


RIGHT = [
    "ann",
    "x",
    "x" * 255,
    "%" * 255,
    "a/b",
    "50%41",
    "auth0|7",
    "a@b.example",
    "a b",
    "customers/ann",
    "../..",
    ".",
    '"',
    "-",
]


@pytest.mark.parametrize("customer", RIGHT)
async def test_every_customer_is_found_by_the_name_in_their_orders(data, orders, customer):
    order = await fulfilled(orders, draft(customer=customer))
    for other in ("ann2", "50A", "a%2Fb"):
        await fulfilled(orders, draft(customer=other))
    name = order_pb2.Order.FromString(orders.history[order.id, 1]).customer
    request = messages.EraseCustomerRequest(name=name)
    check(request)
    erased = await service(data).EraseCustomer(request, Context())
    assert (erased.orders, erased.done) == (1, True)
    assert [each.customer for each in orders.orders.values()] == [ERASED, "ann2", "50A", "a%2Fb"]


async def test_only_operators_may(data, orders):
    await fulfilled(orders)
    for method in ("ExportCustomer", "EraseCustomer"):
        with pytest.raises(OperatorOnly):
            await getattr(service(data), method)(
                getattr(messages, f"{method}Request")(name=ANN), Context(operator=False)
            )
    assert {order.customer for order in orders.orders.values()} == {"ann"}


async def test_an_answer_has_the_order_with_its_versions_and_the_requests(data, orders):
    order = await cancelled(orders, draft("a"), key="b")
    answer = await service(data).ExportCustomer(messages.ExportCustomerRequest(name=ANN), Context())
    (found,) = answer.orders
    assert (found.order.name, found.order.state) == (order.name, order_pb2.Order.CANCELLED)
    assert [each.version for each in found.versions] == [1, 2]
    assert len(found.trace_ids) == 2
    assert [(each.request_id, each.order, each.version) for each in answer.requests] == [
        ("a", order.name, 1),
        ("b", order.name, 2),
    ]
    assert answer.requests[0].create_time.ToDatetime(UTC) == order.create_time


async def test_counting_erases_nothing(data, orders):
    await fulfilled(orders)
    await orders.place(pending(draft()))
    request = messages.EraseCustomerRequest(name=ANN, validate_only=True)
    counted = await service(data).EraseCustomer(request, Context())
    assert (counted.orders, counted.requests, counted.done) == (0, 0, False)
    assert (counted.remaining_orders, counted.open_orders, counted.remaining_requests) == (2, 1, 2)
    assert {order.customer for order in orders.orders.values()} == {"ann"}


async def test_pages_hold_their_place_to_the_microsecond(data, orders):
    at = AT.replace(microsecond=123457)
    for n in range(4):
        wanted = draft(f"k{n}")
        placement = pending(wanted)
        order = type(placement.order).pending(wanted, at + timedelta(microseconds=n // 2))
        await orders.place(type(placement)(order, placement.request))
    found = [order.id for page in await whole(data, ANN, 1) for order in page.orders]
    assert len(set(found)) == len(found) == 4
    assert uuid.UUID(int=0) not in found
