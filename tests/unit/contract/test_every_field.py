"""
Every field of every request reaches a use case: another value in it changes the call.

The servicers are the real ones, on ports that record their calls. Effects that are visible from outside are tested in
tests/integration/test_answers.py.
"""

import uuid

import pytest
from google.protobuf import symbol_database
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.orders.v1 import allocation_service_pb2, operations_service_pb2, order_pb2, order_service_pb2

from inventory_svc.api import InventoryService
from orders_svc.api import AllocationService, OrderService
from orders_svc.operations import OperationsService
from orders_svc.order import Order
from runtime.page_token import PageTokens
from tests.support.orders_port_suite import draft

KEY = b"key"
ONE, TWO = (str(uuid.UUID(int=number)) for number in (1, 2))
FILES = (allocation_service_pb2, inventory_service_pb2, operations_service_pb2, order_service_pb2)
METHODS = {
    method.name: method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class UseCaseCalled(BaseException):
    """The arguments of a use case; not an `Exception`, so that no servicer handles it."""


class Port:
    """A port that raises the arguments of any call."""

    def __getattr__(self, name):
        def ask(*arguments, **named):
            raise UseCaseCalled(name, repr(arguments), repr(named))

        return ask


class OfOneOrder(Port):
    """A port with one order, which is read before it is watched."""

    async def get(self, who, order_id):
        if order_id == uuid.UUID(ONE):
            return Order.pending(draft("k"), None)
        raise UseCaseCalled(order_id)


class Context:
    def invocation_metadata(self):
        return (("x-customer-id", "otto"), ("x-operator", "true"))

    def set_trailing_metadata(self, _):
        pass


def servicers(port):
    return (
        OrderService(port, port, port, max_watch_s=9),
        OperationsService(port, port, port, port, port, port),
        AllocationService(port),
        InventoryService(port, port, page_key=KEY),
    )


def order(product="products/tea"):
    return order_pb2.Order(lines=[order_pb2.OrderLine(product=product, quantity=1)])


def placed(request_id):
    return order_service_pb2.CreateOrderRequest(order=order(), request_id=request_id)


def lines(quantity=1):
    return [inventory_pb2.HoldLine(product="products/tea", quantity=quantity)]


def held(name):
    return inventory_service_pb2.HoldStockRequest(order=f"orders/{name}", lines=lines())


def page(method):
    return {"page_size": (1, 2), "page_token": ("", PageTokens(KEY, method=method).write(b"7"))}


def named(collection="orders"):
    return {"name": (f"{collection}/{ONE}", f"{collection}/{TWO}")}


MOVE = {**named(), "request_id": ("a", "b"), "etag": ('"a"', '"b"')}
CUSTOMER = {"name": ("customers/ann", "customers/bob")}
PRODUCT = {"name": ("products/tea", "products/mug")}
# Two values for each field.
FIELDS = {
    "CreateOrder": {"order": (order(), order("products/mug")), "request_id": ("a", "b")},
    "GetOrder": named(),
    "ListOrders": {"page_size": (1, 2), "page_token": ("", "x"), "state": (1, 2)},
    "CancelOrder": MOVE,
    "FulfilOrder": MOVE,
    "BatchCreateOrders": {"requests": ([placed("a")], [placed("b")])},
    "WatchOrder": {**named(), "from_version": (1, 2)},
    "GetBacklog": {},
    "GetOrderTimeline": named(),
    "RedriveDeadLetters": {"limit": (1, 2), "topic": ("a", "b")},
    "ReconcileOrders": {"validate_only": (False, True)},
    "ExportCustomer": {**CUSTOMER, "page_size": (1, 2), "page_token": ("", "x")},
    "EraseCustomer": {**CUSTOMER, "validate_only": (False, True), "reference": ("", "T-1")},
    "StartGeneration": {"above": (1, 2)},
    "GetGeneration": {},
    "CheckAllocations": {"orders": ([f"orders/{ONE}"], [f"orders/{TWO}"]), "generation": (1, 2)},
    "HoldStock": {"order": (f"orders/{ONE}", f"orders/{TWO}"), "lines": (lines(), lines(2))},
    "BatchHoldStock": {"requests": ([held(ONE)], [held(TWO)])},
    "CommitHold": named("holds"),
    "ReleaseHold": named("holds"),
    "BatchGetHolds": {"names": ([f"holds/{ONE}"], [f"holds/{TWO}"])},
    "ListHolds": page("ListHolds"),
    "RebuildStock": {"generation": (1, 2)},
    "GetProduct": PRODUCT,
    "ListProducts": page("ListProducts"),
    "Restock": {**PRODUCT, "quantity": (1, 2), "request_id": ("a", "b")},
}


def test_every_method_and_every_field_has_a_row():
    assert {name: set(fields) for name, fields in FIELDS.items()} == {
        name: {field.name for field in method.input_type.fields} for name, method in METHODS.items()
    }


async def arguments_of(method, **fields):
    """Return the arguments of the use case for a request with these fields."""
    request = symbol_database.Default().GetSymbol(method.input_type.full_name)(**fields)
    port = OfOneOrder() if method.server_streaming else Port()
    (servicer,) = (each for each in servicers(port) if method.name in vars(type(each)))
    answer = getattr(servicer, method.name)(request, Context())
    try:
        if method.server_streaming:
            await anext(answer)
        else:
            await answer
    except UseCaseCalled as call:
        return call.args
    raise AssertionError("nothing was asked")


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in FIELDS.items() for field in fields])
async def test_every_field_reaches_the_use_case(name, field):
    first, second = FIELDS[name][field]
    usual = {other: values[0] for other, values in FIELDS[name].items() if other != field}
    passed_on = [await arguments_of(METHODS[name], **usual, **{field: value}) for value in (first, second)]
    assert passed_on[0] == await arguments_of(METHODS[name], **usual, **{field: first})
    assert passed_on[0] != passed_on[1]
