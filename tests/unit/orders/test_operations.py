"""Operators' RPCs, and an order's timeline."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from shop.orders.v1 import events_pb2, order_pb2
from shop.orders.v1 import operations_service_pb2 as messages

from orders_svc import saga, wire
from orders_svc.backlog import Backlog
from orders_svc.dead_letters import DEAD_ORDERS
from orders_svc.discrepancies import Kind as Difference
from orders_svc.discrepancies import Report
from orders_svc.operations import DEFAULT_REDRIVE, OperationsService
from orders_svc.operations_ports import Answered, Unpublished, Version
from orders_svc.order import State
from orders_svc.refusals import OrderNotFound
from orders_svc.timeline import Entry, Kind, Timelines
from orders_svc.topics import ORDER_EVENTS, PENDING_ORDERS
from runtime.messaging.message import Message
from runtime.messaging.published import Found
from runtime.messaging.redrive import Redriven
from runtime.refusals import OperatorOnly

ORDER = uuid.UUID(int=1)
AT = datetime(2026, 1, 1, tzinfo=UTC)
PATH = saga.stages([1.0])
SECOND = timedelta(seconds=1)


class Context:
    def __init__(self, operator=True):
        self._operator = operator

    def invocation_metadata(self):
        return (("x-customer-id", "op"), ("x-operator", "true" if self._operator else "false"))


class Parts:
    """Fakes of everything that operators' calls use."""

    def __init__(self):
        self.calls = []

    async def look(self):
        return Backlog({State.PENDING: 3}, 4.5, 7, 1.25, 2, {"pending_orders": 5}, {DEAD_ORDERS: 6, "other.dead": 2})

    async def run(self, *arguments, **named):
        self.calls.append((arguments, named))
        if arguments:
            return Redriven({"a.dead": 3, "b.dead": 1}, {"a.dead": 2})
        report = Report(orders=8, holds=9)
        report.add(Difference.HOLD_DIFFERS, "orders/x", "holds 1", repaired=False)
        report.add(Difference.STOCK_DIFFERS, "products/tea", "sold 1", repaired=True)
        return report

    async def redrive_rows(self):
        return 4


@pytest.fixture
def parts():
    return Parts()


@pytest.fixture
def service(parts):
    return OperationsService(
        parts, parts, parts, parts, Timelines(Records(), Holds(), Letters(), Events(), Groups(), PATH), parts
    )


CALLS = [
    ("GetBacklog", messages.GetBacklogRequest()),
    ("GetOrderTimeline", messages.GetOrderTimelineRequest(name=f"orders/{ORDER}")),
    ("RedriveDeadLetters", messages.RedriveDeadLettersRequest()),
    ("ReconcileOrders", messages.ReconcileOrdersRequest()),
]


@pytest.mark.parametrize(("method", "request_"), CALLS)
async def test_operations_are_for_operators_only(service, parts, method, request_):
    with pytest.raises(OperatorOnly):
        await getattr(service, method)(request_, Context(operator=False))
    assert parts.calls == []


async def test_the_backlog_has_its_numbers(service):
    backlog = await service.GetBacklog(messages.GetBacklogRequest(), Context())
    assert [(each.state, each.orders) for each in backlog.states] == [(order_pb2.Order.PENDING, 3)]
    assert (backlog.oldest_pending_age.ToMilliseconds(), backlog.outbox_lag.ToMilliseconds()) == (4500, 1250)
    assert (backlog.outbox_rows, backlog.refused_rows, backlog.dead_letters) == (7, 2, 8)
    assert [(each.topic, each.messages) for each in backlog.topics] == [("pending_orders", 5)]
    assert [(each.topic, each.messages) for each in backlog.dead_letter_topics] == [(DEAD_ORDERS, 6), ("other.dead", 2)]


@pytest.mark.parametrize(("limit", "passed_on"), [(0, DEFAULT_REDRIVE), (7, 7)])
async def test_dead_letters_and_outbox_rows_are_redriven(service, parts, limit, passed_on):
    redriven = await service.RedriveDeadLetters(messages.RedriveDeadLettersRequest(limit=limit), Context())
    assert (redriven.redriven, redriven.passed_over, redriven.outbox_rows) == (4, 2, 4)
    assert parts.calls == [((passed_on,), {"topic": ""})]


async def test_one_topic_alone_can_be_redriven(service, parts):
    redriven = await service.RedriveDeadLetters(messages.RedriveDeadLettersRequest(topic="a.dead"), Context())
    assert redriven.outbox_rows == 0
    assert parts.calls == [((DEFAULT_REDRIVE,), {"topic": "a.dead"})]


@pytest.mark.parametrize("only_look", [True, False])
async def test_discrepancies_are_reported_and_repaired_on_request(service, parts, only_look):
    report = await service.ReconcileOrders(messages.ReconcileOrdersRequest(validate_only=only_look), Context())
    assert parts.calls == [((), {"only_look": only_look})]
    assert (report.orders, report.holds, report.repaired, report.unrepaired) == (8, 9, 1, 1)
    assert [(each.kind, each.subject, each.repaired) for each in report.discrepancies] == [
        ("HOLD_DIFFERS", "orders/x", False),
        ("STOCK_DIFFERS", "products/tea", True),
    ]


def order_of(number, state=order_pb2.Order.PENDING, at=AT, reason=""):
    return order_pb2.Order(
        name=f"orders/{ORDER}", state=state, state_reason=reason, update_time=wire.timestamp(at), version=number
    )


def version(number, state, at, reason=""):
    order = order_of(number, state, at, reason)
    return Version(number, order.SerializeToString(), f"orders-{number}", f"trace {number}")


class Records:
    """An order that was pending, was confirmed a second later, and whose event Kafka rejected."""

    def __init__(self, versions=None):
        self.kept = versions
        if versions is None:
            self.kept = [
                version(1, order_pb2.Order.PENDING, AT, "INVENTORY_UNAVAILABLE"),
                version(2, order_pb2.Order.CONFIRMED, AT + SECOND),
            ]

    async def versions(self, order_id):
        assert order_id == ORDER
        return self.kept

    async def answered(self, order_id, at):
        assert at == [AT, AT + SECOND]
        return [Answered("r", 1, AT)]

    async def unpublished(self, order_id):
        return [
            Unpublished(ORDER_EVENTS, AT + 2 * SECOND, "too large"),
            Unpublished(ORDER_EVENTS, AT + 3 * SECOND, None),
        ]


class Holds:
    def __init__(self, state=("HELD", AT)):
        self.state = state

    async def state_of_hold(self, order_id):
        return self.state


class Letters:
    async def of(self, topics, key):
        assert key == str(ORDER).encode()
        assert {*topics} >= {DEAD_ORDERS, PATH[0].topic}
        at_ms = int((AT + 4 * SECOND).timestamp() * 1000)
        headers = {"reason": "POISON_MESSAGE", "error": "no", "deliveries": "3", "traceparent": "00-abc-def-01"}
        return [
            Message(DEAD_ORDERS, 1, 2, key, b"", headers, at_ms),
            Message(PATH[0].topic, 0, 5, key, b"", {"traceparent": "x"}, at_ms + 500),
        ]


def event(topic, number, *, offset, at=AT, headers=None):
    kind = events_pb2.OrderEvent if topic == ORDER_EVENTS else events_pb2.PendingOrder
    value = kind(order=order_of(number)).SerializeToString()
    return Message(topic, 3, offset, str(ORDER).encode(), value, headers or {}, int(at.timestamp() * 1000))


class Events:
    """Kafka has the event of version 1 and the pending order, both written 200 ms after the version."""

    def __init__(self, *more, limited=()):
        at = AT + timedelta(milliseconds=200)
        traced = {"traceparent": "00-abc-def-01"}
        self.events = [
            event(ORDER_EVENTS, 1, offset=7, at=at, headers=traced),
            event(PENDING_ORDERS, 1, offset=5, at=at),
            *more,
        ]
        self.limited = limited
        self.sought = {}

    async def find(self, topic, key, sought):
        assert key == str(ORDER).encode()
        self.sought[topic] = [
            (each.time, [number for number in range(4) if each.is_it(event(topic, number, offset=0))])
            for each in sought
        ]
        return Found([each for each in self.events if each.topic == topic], limited=topic in self.limited)


class Groups:
    """Inventory has consumed what was published, the saga nothing."""

    async def positions(self, topics):
        known = {(ORDER_EVENTS, "inventory"): {3: 8}, (PENDING_ORDERS, "orders-saga"): {3: 5}}
        return {topic: known[topic, group] for topic, group in topics.items()}


async def test_a_timeline_is_in_order_of_time():
    timeline = await Timelines(Records(), Holds(), Letters(), Events(), Groups(), PATH).of(ORDER)
    assert timeline.order.state == order_pb2.Order.CONFIRMED
    assert timeline.unknown == []
    assert timeline.entries == [
        Entry(
            kind=Kind.CHANGED,
            time=AT,
            state=State.PENDING,
            version=1,
            detail="INVENTORY_UNAVAILABLE",
            replica="orders-1",
            trace_id="trace 1",
        ),
        Entry(kind=Kind.ANSWERED, time=AT, version=1, detail="request r"),
        Entry(
            kind=Kind.PUBLISHED,
            time=AT + timedelta(milliseconds=200),
            version=1,
            detail="consumed by inventory",
            topic=ORDER_EVENTS,
            partition=3,
            offset=7,
            trace_id="abc",
        ),
        Entry(
            kind=Kind.PUBLISHED,
            time=AT + timedelta(milliseconds=200),
            version=1,
            detail="not yet consumed by orders-saga",
            topic=PENDING_ORDERS,
            partition=3,
            offset=5,
        ),
        Entry(
            kind=Kind.CHANGED,
            time=AT + SECOND,
            state=State.CONFIRMED,
            version=2,
            replica="orders-2",
            trace_id="trace 2",
        ),
        Entry(kind=Kind.PUBLISHING_REFUSED, time=AT + 2 * SECOND, topic=ORDER_EVENTS, detail="too large"),
        Entry(kind=Kind.UNPUBLISHED, time=AT + 3 * SECOND, topic=ORDER_EVENTS),
        Entry(
            kind=Kind.DEAD_LETTER,
            time=AT + 4 * SECOND,
            topic=DEAD_ORDERS,
            detail=f"POISON_MESSAGE: no ({DEAD_ORDERS}/1/2)",
            deliveries=3,
            trace_id="abc",
        ),
        Entry(
            kind=Kind.MESSAGE_WAITS,
            time=AT + timedelta(seconds=4.5),
            topic=PATH[0].topic,
            detail=f"({PATH[0].topic}/0/5)",
        ),
        Entry(kind=Kind.STOCK_HELD, detail="until 2026-01-01T00:00:00+00:00"),
    ]


async def test_every_version_is_sought_in_the_events_and_only_pending_ones_among_pending_orders():
    events = Events()
    await Timelines(Records(), Holds(), Letters(), events, Groups(), PATH).of(ORDER)
    assert events.sought == {ORDER_EVENTS: [(AT, [1]), (AT + SECOND, [2])], PENDING_ORDERS: [(AT, [1])]}
    events = Events()
    at_once = Records([version(1, order_pb2.Order.CONFIRMED, AT), version(2, order_pb2.Order.CANCELLED, AT + SECOND)])
    await Timelines(at_once, Holds(), Letters(), events, Groups(), PATH).of(ORDER)
    assert list(events.sought) == [ORDER_EVENTS]


async def test_a_search_that_met_its_limit_is_named():
    events = Events(limited=[ORDER_EVENTS])
    timeline = await Timelines(Records(), Holds(), Letters(), events, Groups(), PATH).of(ORDER)
    assert timeline.unknown == [
        "Kafka: order_events was searched up to a limit, which came before some of the order's events"
    ]
    assert [each.offset for each in timeline.entries if each.kind is Kind.PUBLISHED] == [7, 5]


async def test_records_of_the_key_that_are_no_event_or_have_no_date_are_shown():
    key = str(ORDER).encode()
    odd = [
        Message(ORDER_EVENTS, 3, 8, key, b"\xff", {}, -1),
        Message(ORDER_EVENTS, 3, 9, key, None, {"traceparent": "x"}, 2**62),
    ]
    timeline = await Timelines(Records(), Holds(), Letters(), Events(*odd), Groups(), PATH).of(ORDER)
    assert [
        (each.offset, each.version, each.trace_id, each.detail) for each in timeline.entries
        if each.kind is Kind.PUBLISHED and each.time is None
    ] == [(8, 0, "", "not yet consumed by inventory"), (9, 0, "", "not yet consumed by inventory")]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "kinds"),
    [(None, []), (("COMMITTED", None), [(Kind.STOCK_SOLD, "")]), (("RELEASED", None), [(Kind.STOCK_RELEASED, "")])],
)
async def test_a_timeline_has_the_state_of_the_hold(state, kinds):
    timeline = await Timelines(Records(), Holds(state), Letters(), Events(), Groups(), PATH).of(ORDER)
    assert [(each.kind, each.detail) for each in timeline.entries if each.time is None] == kinds


async def test_an_unknown_order_has_no_timeline():
    with pytest.raises(OrderNotFound):
        await Timelines(Records([]), Holds(), Letters(), Events(), Groups(), PATH).of(ORDER)


async def test_a_timeline_has_the_time_since_the_previous_entry(service):
    request = messages.GetOrderTimelineRequest(name=f"orders/{ORDER}")
    timeline = await service.GetOrderTimeline(request, Context())
    assert timeline.order.state == order_pb2.Order.CONFIRMED
    first, answer, published, _, second, *_, last = timeline.entries
    assert (first.kind, first.state, first.version) == (messages.OrderTimelineEntry.CHANGED, order_pb2.Order.PENDING, 1)
    assert (first.replica, first.trace_id, first.detail) == ("orders-1", "trace 1", "INVENTORY_UNAVAILABLE")
    assert first.time.ToDatetime(UTC) == AT
    assert not first.HasField("after")
    assert [each.after.ToMilliseconds() for each in (answer, published, second)] == [0, 200, 800]
    assert (published.topic, published.partition, published.offset) == (ORDER_EVENTS, 3, 7)
    assert not last.HasField("time")
    assert not last.HasField("after")
    waiting = next(each for each in timeline.entries if each.kind == messages.OrderTimelineEntry.DEAD_LETTER)
    assert (waiting.topic, waiting.deliveries) == (DEAD_ORDERS, 3)
