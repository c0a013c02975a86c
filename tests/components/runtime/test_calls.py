"""The interceptors of every call: a real server and a real client in one process."""

import asyncio
import contextlib

import grpc
import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from runtime import deadline, errors, interceptors, status
from runtime.caller import caller, customer_id
from runtime.reply import set_http_code
from runtime.settings import ServiceSettings

NAME = "orders/00000000-0000-0000-0000-000000000001"
LINES = [order_pb2.OrderLine(product="products/tea", quantity=1)]


class Servicer(order_service_pb2_grpc.OrderServiceServicer):
    """Runs the behaviour given by the test."""

    def __init__(self, behaviour):
        self.behaviour = behaviour

    async def CreateOrder(self, request, context):
        return await self.behaviour(request, context)

    async def BatchCreateOrders(self, request, context):
        return await self.behaviour(request, context)

    async def CancelOrder(self, request, context):
        return await self.behaviour(request, context)

    async def GetOrder(self, request, context):
        return await self.behaviour(request, context)

    async def WatchOrder(self, request, context):
        async for response in self.behaviour(request, context):
            yield response


@contextlib.asynccontextmanager
async def serving(behaviour, **settings):
    """Serve *behaviour* behind the interceptors and yield the port."""
    server = grpc.aio.server(
        interceptors=[
            interceptors.Interceptor(interceptors.wrappers(ServiceSettings(kafka_brokers="k:1", **settings), "test"))
        ]
    )
    order_service_pb2_grpc.add_OrderServiceServicer_to_server(Servicer(behaviour), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(0)


@contextlib.asynccontextmanager
async def service(behaviour, **settings):
    async with (
        serving(behaviour, **settings) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield order_service_pb2_grpc.OrderServiceStub(channel)


def create(lines=LINES, request_id="r-1"):
    order = order_pb2.Order(lines=lines)
    return order_service_pb2.CreateOrderRequest(order=order, request_id=request_id)


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return status.from_rpc_error(caught.value), caught.value


async def test_an_error_arrives_with_reason_metadata_fields_and_delay():
    async def behaviour(request, context):
        raise errors.Unavailable(
            "no stock service",
            reason="INVENTORY_GONE",
            metadata={"replicas": "0"},
            fields=[errors.FieldViolation("order", "waits")],
            violations=[errors.Violation("GONE", "inventory", "no replica")],
            retry_after_s=1.5,
        )

    async with service(behaviour) as stub:
        error, raw = await refused(stub.CreateOrder(create()))
    assert raw.code() is grpc.StatusCode.UNAVAILABLE
    assert isinstance(error, errors.Unavailable)
    assert (error.message, error.reason, error.metadata) == (
        "no stock service",
        "INVENTORY_GONE",
        {"replicas": "0"},
    )
    assert error.fields == (errors.FieldViolation("order", "waits"),)
    assert error.violations == (errors.Violation("GONE", "inventory", "no replica"),)
    assert error.retry_after_s == 1.5


async def test_error_info_comes_first_and_names_the_domain():
    async def behaviour(request, context):
        raise errors.NotFound("no such order", fields=[errors.FieldViolation("name", "unknown")])

    async with service(behaviour) as stub:
        _, raw = await refused(stub.CreateOrder(create()))
    sent = Status.FromString(dict(raw.trailing_metadata())[status.DETAILS_KEY])
    info = error_details_pb2.ErrorInfo()
    assert sent.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("NOT_FOUND", "test")


async def test_an_internal_error_reveals_nothing():
    async def behaviour(request, context):
        raise RuntimeError("password is hunter2")

    async with service(behaviour) as stub:
        error, raw = await refused(stub.CreateOrder(create()))
    assert raw.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(raw.trailing_metadata()) + error.message


@pytest.mark.parametrize(
    ("lines", "request_id", "field"),
    [
        ([], "r", "order.lines"),
        ([order_pb2.OrderLine(product="products/tea", quantity=0)], "r", "order.lines[0].quantity"),
        ([LINES[0], order_pb2.OrderLine(product="tea", quantity=1)], "r", "order.lines[1].product"),
        ([LINES[0], LINES[0]], "r", "order.lines"),
        (LINES, "", "request_id"),
        (LINES, "with space", "request_id"),
        (LINES, "x" * 129, "request_id"),
    ],
)
async def test_an_invalid_request_is_refused_with_its_field(lines, request_id, field):
    async def behaviour(request, context):
        raise AssertionError("must not be reached")

    async with service(behaviour) as stub:
        error, raw = await refused(stub.CreateOrder(create(lines, request_id)))
    assert raw.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in error.fields] == [field]


async def test_the_header_idempotency_key_is_the_request_id():
    async def behaviour(request, context):
        return order_pb2.Order(name=request.request_id)

    async with service(behaviour) as stub:
        order = await stub.CreateOrder(create(request_id=""), metadata=(("idempotency-key", "k-7"),))
    assert order.name == "k-7"


async def test_a_request_id_that_differs_from_the_header_is_refused():
    async def behaviour(request, context):
        raise AssertionError("must not be reached")

    async with service(behaviour) as stub:
        call = stub.CreateOrder(create(request_id="a"), metadata=(("idempotency-key", "b"),))
        error, _ = await refused(call)
    assert error.fields[0].field == "request_id"


async def test_calls_above_the_limit_are_refused_at_once():
    release = asyncio.Event()

    async def behaviour(request, context):
        await release.wait()
        return order_pb2.Order(name="done")

    async with service(behaviour, max_in_flight=2) as stub:
        accepted = [asyncio.ensure_future(stub.CreateOrder(create())) for _ in range(2)]
        await asyncio.sleep(0.1)
        error, raw = await refused(stub.CreateOrder(create()))
        assert raw.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.retry_after_s == 1
        release.set()
        assert [order.name for order in await asyncio.gather(*accepted)] == ["done", "done"]
        assert (await stub.CreateOrder(create())).name == "done"


async def test_a_call_without_a_deadline_gets_the_default():
    async def behaviour(request, context):
        await asyncio.sleep(30)

    async with service(behaviour, default_deadline_s=0.1) as stub:
        _, raw = await refused(stub.CreateOrder(create()))
    assert raw.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_deadline_is_the_callers():
    async def behaviour(request, context):
        return order_pb2.Order(version=int(deadline.remaining_s(99) * 1000))

    async with service(behaviour) as stub:
        order = await stub.CreateOrder(create(), timeout=2)
    # gRPC rounds deadlines up on the wire.
    assert 1000 < order.version < 3000


async def test_a_stream_error_before_the_first_message_has_its_details():
    async def behaviour(request, context):
        raise errors.NotFound("no such order")
        yield

    async with service(behaviour) as stub:
        call = stub.WatchOrder(order_service_pb2.WatchOrderRequest(name=NAME))
        error, raw = await refused(call.read())
    assert raw.code() is grpc.StatusCode.NOT_FOUND
    assert error.reason == "NOT_FOUND"


async def test_the_http_code_is_in_the_headers_of_the_first_message():
    async def behaviour(request, context):
        set_http_code(context, 202, [("location", "/v1/x")])
        return order_pb2.Order()

    async with service(behaviour) as stub:
        call = stub.CreateOrder(create())
        headers = dict(await call.trailing_metadata())
        assert tuple(await call.initial_metadata()) == ()
    assert headers["x-http-code"] == "202"
    assert headers["location"] == "/v1/x"


async def test_the_caller_is_the_one_in_the_edges_header():
    async def behaviour(request, context):
        who = caller(context)
        return order_pb2.Order(customer=who.name, name=str(who.operator))

    async with service(behaviour) as stub:
        nobody, raw = await refused(stub.CreateOrder(create()))
        named = await stub.CreateOrder(create(), metadata=(("x-customer-id", "anonymous"),))
        alice = await stub.CreateOrder(create(), metadata=(("x-customer-id", "alice"), ("x-operator", "true")))
        error, _ = await refused(stub.CreateOrder(create(), metadata=(("x-customer-id", "x" * 256),)))
    assert (raw.code(), nobody.reason) == (grpc.StatusCode.UNAUTHENTICATED, "MISSING_CUSTOMER")
    assert (named.customer, named.name) == ("customers/anonymous", "False")
    assert (alice.customer, alice.name) == ("customers/alice", "True")
    assert error.reason == "INVALID_CUSTOMER"


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("auth0|5f7c8ec7", "customers/auth0|5f7c8ec7"),
        ("f:0c3e5f2a-1111:jane.doe", "customers/f:0c3e5f2a-1111:jane.doe"),
        ("q83vEjRW+/8=", "customers/q83vEjRW+%2F8="),
        ("spiffe://cluster.local/ns/a/sa/b", "customers/spiffe:%2F%2Fcluster.local%2Fns%2Fa%2Fsa%2Fb"),
        ("https://id.example.com/?u=7#me", "customers/https:%2F%2Fid.example.com%2F%3Fu=7%23me"),
        ("Jane Doe", "customers/Jane%20Doe"),
        ("100%25", "customers/100%2525"),
        ("x" * 255, "customers/" + "x" * 255),
    ],
)
async def test_any_subject_of_an_issuer_is_a_valid_customer(subject, name):
    async def behaviour(request, context):
        who = caller(context)
        assert (who.customer, customer_id(who.name)) == (subject, subject)
        return order_pb2.Order(customer=who.name)

    async with service(behaviour) as stub:
        order = await stub.CreateOrder(create(), metadata=(("x-customer-id", subject),))
    assert order.customer == name


@pytest.mark.parametrize("header", ["idempotency-key", "x-customer-id", "x-operator"])
@pytest.mark.parametrize("values", [("a", "b"), ("a", "a")])
async def test_duplicated_singular_metadata_is_refused(header, values):
    async def behaviour(request, context):
        return order_pb2.Order(name=str(caller(context)))

    metadata = [("x-customer-id", "ann")] * (header != "x-customer-id") + [(header, value) for value in values]
    given = "" if header == "idempotency-key" else "k"
    async with service(behaviour) as stub:
        error, raw = await refused(stub.CreateOrder(create(request_id=given), metadata=metadata))
    assert (raw.code(), error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DOUBLED_FIELD")
    assert [each.field for each in error.fields] == [header]


async def test_an_empty_key_is_refused_even_where_it_is_optional():
    async def behaviour(request, context):
        raise AssertionError("must not be reached")

    async with service(behaviour) as stub:
        cancel = order_service_pb2.CancelOrderRequest(name=NAME)
        error, _ = await refused(stub.CancelOrder(cancel, metadata=(("idempotency-key", ""),)))
    assert [each.field for each in error.fields] == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("field", "header", "read"), [("", '"a"', '"a"'), ('"a"', '"a"', '"a"'), ('"a"', "*", '"a"'), ("", "*", "")]
)
async def test_the_header_if_match_is_the_etag(field, header, read):
    async def behaviour(request, context):
        return order_pb2.Order(etag=request.etag)

    async with service(behaviour) as stub:
        cancel = order_service_pb2.CancelOrderRequest(name=NAME, etag=field)
        order = await stub.CancelOrder(cancel, metadata=(("if-match", header),))
    assert order.etag == read


async def test_an_etag_that_differs_from_if_match_is_refused():
    async def behaviour(request, context):
        raise AssertionError("must not be reached")

    async with service(behaviour) as stub:
        cancel = order_service_pb2.CancelOrderRequest(name=NAME, etag='"a"')
        error, _ = await refused(stub.CancelOrder(cancel, metadata=(("if-match", '"b"'),)))
    assert [each.field for each in error.fields] == ["etag"]


@pytest.mark.parametrize(
    ("method", "header", "counts"),
    [
        ("BatchCreateOrders", "Idempotency-Key", True),
        ("BatchCreateOrders", "If-Match", True),
        ("CreateOrder", "If-Match", True),
        ("GetOrder", "If-Match", True),
        ("GetOrder", "Idempotency-Key", False),
    ],
)
async def test_a_header_without_a_field_in_the_method_is_refused_where_it_would_matter(method, header, counts):
    async def behaviour(request, context):
        return order_pb2.Order(name="read")

    requests = {
        "BatchCreateOrders": order_service_pb2.BatchCreateOrdersRequest(requests=[create()]),
        "CreateOrder": create(),
        "GetOrder": order_service_pb2.GetOrderRequest(name=NAME),
    }
    async with service(behaviour) as stub:
        call = getattr(stub, method)(requests[method], metadata=((header.lower(), '"1"'),))
        if not counts:
            assert (await call).name == "read"
            return
        error, raw = await refused(call)
    assert raw.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [each.field for each in error.fields] == [header]


def test_every_kind_of_error_survives_the_round_trip():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, errors.Error) and kind is not errors.Error:
            back = status.from_status(status.to_status(kind("m", reason="R"), "d"))
            assert (type(back), back.message, back.reason) == (kind, "m", "R")
