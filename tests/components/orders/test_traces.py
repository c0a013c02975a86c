"""One order's trace from a replica's spans: confirmed at once, and after it was pending; without personal data."""

import collections

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from shop.orders.v1 import order_pb2

from tests.components.orders.test_service import create, state_of

CUSTOMER = "zoe@example.com"
ZOE = (("x-customer-id", CUSTOMER),)
CALLER = "b7ad6b7169203331"
TOPIC = "messaging.destination.name"
AT_ONCE, WAITED, NOT_KEPT = "1" * 32, "2" * 32, "3" * 32
CREATE, HOLD = "/shop.orders.v1.OrderService/CreateOrder", "/shop.inventory.v1.InventoryService/BatchHoldStock"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Collects exported spans, as text and by trace."""

    def __init__(self):
        self.texts = []
        self.spans = collections.defaultdict(list)

    async def Export(self, request, context):
        self.texts.append(str(request))
        for group in request.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans[span.trace_id.hex()].append(span)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
async def collector(environment):
    server, made = grpc.aio.server(), Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(made, server)
    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    environment["OTEL_BSP_SCHEDULE_DELAY"] = "200"
    await server.start()
    yield made
    await server.stop(0)


def called_in(trace, *, kept=True):
    return (*ZOE, ("traceparent", f"00-{trace}-{CALLER}-0{int(kept)}"))


def parents(spans):
    """Return each span's name with that of its parent, without the caller's own."""
    names = {span.span_id: span.name.lstrip("/") for span in spans}
    return {(span.name.lstrip("/"), names.get(span.parent_span_id, span.parent_span_id.hex())) for span in spans}


async def test_a_trace_covers_the_call_to_the_last_event_without_personal_data(
    collector, replicas, inventory, eventually
):
    (replica,) = await replicas()
    await replica.orders.CreateOrder(create(), metadata=called_in(AT_ONCE))
    await replica.orders.CreateOrder(create(), metadata=called_in(NOT_KEPT, kept=False))
    await inventory.stop()
    order = await replica.orders.CreateOrder(create(), metadata=called_in(WAITED))
    await inventory.start()

    async def exported():
        names = [span.name for span in collector.spans[WAITED]]
        return names.count("publish order_events") == 2 and collector.spans[AT_ONCE]

    await eventually(exported, within_s=30)
    assert await state_of(replica, order, ZOE) == order_pb2.Order.CONFIRMED
    called, held = CREATE.lstrip("/"), HOLD.lstrip("/")
    assert {
        (called, CALLER),
        ("hold stock", called),
        (held, "hold stock"),
        ("store orders", called),
        ("publish order_events", called),
    } <= parents(collector.spans[AT_ONCE])
    assert {
        (called, CALLER),
        ("publish pending_orders", called),
        ("finish pending order", called),
        ("hold stock", "finish pending order"),
        ("publish order_events", "finish pending order"),
    } <= parents(collector.spans[WAITED])
    kinds = {span.name.lstrip("/"): span.kind for span in collector.spans[WAITED]}
    assert (kinds["finish pending order"], kinds[called]) == (Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_SERVER)
    assert NOT_KEPT not in collector.spans
    for text in collector.texts:
        assert not any(word in text for word in (CUSTOMER, "grpc-python", "products/tea"))


async def test_an_order_that_is_tried_again_links_each_attempt_to_the_one_before(
    collector, replicas, inventory, eventually
):
    (replica,) = await replicas()
    await inventory.stop()
    order = await replica.orders.CreateOrder(create(), metadata=called_in(WAITED))

    def attempts():
        found = [span for span in collector.spans[WAITED] if span.name == "finish pending order"]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    async def failed():
        return attempts()

    await eventually(failed, within_s=30)
    await inventory.start()

    async def ended():
        return attempts()[-1].status.code != Status.STATUS_CODE_ERROR

    await eventually(ended, within_s=30)
    assert await state_of(replica, order, ZOE) == order_pb2.Order.CONFIRMED
    first, *others = attempts()
    assert others
    assert list(first.links) == []
    for before, span in zip([first, *others], others, strict=False):
        assert before.status.code == Status.STATUS_CODE_ERROR
        assert [link.span_id for link in span.links] == [before.span_id]
    topics = {each.value.string_value for span in attempts() for each in span.attributes if each.key == TOPIC}
    assert "pending_orders" in topics
    assert len(topics) > 1
