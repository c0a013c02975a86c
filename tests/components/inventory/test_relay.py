"""The relay of stock events from Redis to Kafka."""

import asyncio
import contextlib
import uuid

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client import REGISTRY
from shop.inventory.v1.events_pb2 import StockEvent
from structlog.testing import capture_logs

from inventory_svc import relay as relay_module
from inventory_svc.relay import Relay
from inventory_svc.scripts import EVENTS, RELAY_LOCK
from inventory_svc.stock import Basket, Line, Receipt
from runtime import spans
from runtime.errors import InvalidArgument, Unavailable
from tests.support.fakes.inventory import FakePublisher
from tests.support.waiting import passes


@pytest.fixture
def publisher():
    return FakePublisher()


@contextlib.asynccontextmanager
async def relaying(store, redis, publisher):
    task = asyncio.create_task(Relay(redis, publisher, retry_s=0.05).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sell(store, count):
    orders = [str(uuid.uuid4()) for _ in range(count)]
    await store.receive(Receipt(str(uuid.uuid4()), "mug", count))
    await store.hold([Basket(order, (Line("mug", 1),)) for order in orders])
    return orders


def value_of(metric, **labels):
    return REGISTRY.get_sample_value(metric, labels) or 0.0


def events(publisher):
    return [StockEvent.FromString(record.value) for record in publisher.records]


async def gone(redis):
    assert await redis.xlen(EVENTS) == 0


async def test_events_are_published_with_their_stock_and_removed_from_the_stream(store, redis, publisher):
    (order,) = await sell(store, 1)
    async with relaying(store, redis, publisher):
        await passes(lambda: gone(redis))
    held = next(event for event in events(publisher) if event.kind == StockEvent.HELD)
    assert held.hold == f"holds/{order}"
    assert held.generation == 1
    (change,) = held.changes
    assert (change.product, change.quantity) == ("products/mug", 1)
    assert (change.stock.on_hand, change.stock.available, change.stock.held) == (11, 10, 1)
    assert next(each for each in publisher.records if each.value == held.SerializeToString()).key == held.hold.encode()


async def test_the_backlog_and_its_age_are_measured(store, redis, publisher, monkeypatch):
    for name, value in (("WAIT_MS", 50), ("LOOK_S", 0.05)):
        monkeypatch.setattr(relay_module, name, value)
    await redis.delete(EVENTS)
    now_s, _ = await redis.time()
    for n, age_s in enumerate((300, 200), start=1):
        await redis.xadd(EVENTS, {"kind": "held", "at": str((now_s - age_s) * 1000)}, id=f"0-{n}")
    await sell(store, 1)
    waiting = await redis.xlen(EVENTS)
    before = value_of("inventory_stock_events_published_total", kind="held")
    refused = value_of("inventory_stock_events_refused_total")
    publisher.refuses = lambda record: Unavailable("Kafka does not answer")

    async def measured(backlog, oldest_s, youngest_s):
        assert value_of("inventory_stock_events_backlog") == backlog
        assert oldest_s <= value_of("inventory_stock_events_lag_seconds") <= youngest_s

    async with relaying(store, redis, publisher):
        await passes(lambda: measured(waiting, 299, 330))
        publisher.refuses = lambda record: None
        await passes(lambda: measured(0, 0, 0))
    assert value_of("inventory_stock_events_published_total", kind="held") == before + 1
    # Each of the two unreadable ones, each time that its batch was tried.
    assert value_of("inventory_stock_events_refused_total") - refused >= 4


async def test_an_event_without_a_time_counts_from_the_epoch(store, redis, publisher):
    await redis.delete(EVENTS)
    await redis.xadd(EVENTS, {"kind": "held"}, id="0-1")
    await sell(store, 1)
    publisher.refuses = lambda record: Unavailable("Kafka does not answer")

    async def measured():
        assert value_of("inventory_stock_events_lag_seconds") > 1_700_000_000

    async with relaying(store, redis, publisher):
        await passes(measured)


async def test_event_ids_are_consecutive(store, redis, publisher):
    await sell(store, 600)
    async with relaying(store, redis, publisher):
        await passes(lambda: gone(redis))
        await sell(store, 5)
        await passes(lambda: gone(redis))
    sequences = [int(event.event_id.partition("-")[2]) for event in events(publisher)]
    assert sequences == list(range(1, sequences[-1] + 1))


async def test_events_stay_in_the_stream_while_kafka_is_down_and_are_published_after(store, redis, publisher):
    orders = await sell(store, 20)
    publisher.refuses = lambda record: Unavailable("Kafka does not answer")
    async with relaying(store, redis, publisher):
        await asyncio.sleep(0.3)
        assert await redis.xlen(EVENTS) >= 20
        publisher.refuses = lambda record: None
        await passes(lambda: gone(redis))
    assert {f"holds/{order}" for order in orders} <= {event.hold for event in events(publisher)}


async def test_an_event_that_kafka_rejects_blocks_no_other(store, redis, publisher):
    bad, good = await sell(store, 2)
    publisher.refuses = lambda record: InvalidArgument("too big") if record.key == f"holds/{bad}".encode() else None
    async with relaying(store, redis, publisher):
        await passes(lambda: gone(redis))
    assert f"holds/{good}" in {event.hold for event in events(publisher)}


async def test_a_relay_that_dies_before_trimming_loses_nothing(store, redis, publisher):
    orders = await sell(store, 20)

    def die(record):
        raise RuntimeError("killed in the middle of a batch")

    publisher.refuses = die
    async with relaying(store, redis, publisher) as task:
        with contextlib.suppress(RuntimeError):
            await task
    publisher.refuses = lambda record: None
    async with relaying(store, redis, publisher):
        await passes(lambda: gone(redis))
    assert {f"holds/{order}" for order in orders} <= {event.hold for event in events(publisher)}


async def test_only_one_of_several_relays_publishes(store, redis, publisher):
    other = FakePublisher()
    async with relaying(store, redis, publisher), relaying(store, redis, other):
        for _ in range(5):
            await sell(store, 10)
            await passes(lambda: gone(redis))
    assert not (publisher.records and other.records)


async def test_another_relay_takes_over_when_the_lock_expires(store, redis, publisher):
    await redis.set(RELAY_LOCK, "a replica that was killed", px=300)
    await sell(store, 3)
    async with relaying(store, redis, publisher):
        await asyncio.sleep(0.1)
        assert not publisher.records
        await passes(lambda: gone(redis))


async def test_an_invalid_entry_is_reported_and_blocks_no_other(store, redis, publisher):
    await redis.delete(EVENTS)
    await redis.xadd(EVENTS, {"kind": "held", "changes": "no JSON"}, id="0-1")
    await redis.xadd(EVENTS, {"nothing": "of ours"}, id="0-2")
    await store.receive(Receipt(str(uuid.uuid4()), "mug", 1))
    refused = value_of("inventory_stock_events_refused_total")
    with capture_logs() as logged:
        async with relaying(store, redis, publisher):
            await passes(lambda: gone(redis))
    assert publisher.records
    assert value_of("inventory_stock_events_refused_total") == refused + 2
    reported = [entry for entry in logged if entry["event"] == "stock_event_refused"]
    assert [entry["event_id"] for entry in reported] == ["0-1", "0-2"]
    assert all(entry["error"] for entry in reported)


async def test_an_event_belongs_to_the_trace_of_the_call_that_moved_its_units(store, redis, publisher, monkeypatch):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "tracer", provider.get_tracer("test"))
    await store.receive(Receipt(str(uuid.uuid4()), "mug", 2))
    of_no_trace, of_a_trace = str(uuid.uuid4()), str(uuid.uuid4())
    await store.hold([Basket(of_no_trace, (Line("mug", 1),))])
    with provider.get_tracer("test").start_as_current_span("commit stock") as call:
        await store.hold([Basket(of_a_trace, (Line("mug", 1),))])
    async with relaying(store, redis, publisher):
        await passes(lambda: gone(redis))
    trace_id, span_id = call.get_span_context().trace_id, call.get_span_context().span_id
    headers = {record.key.decode(): dict(record.headers) for record in publisher.records}
    assert headers[f"holds/{of_no_trace}"] == {}
    assert headers[f"holds/{of_a_trace}"]["traceparent"].startswith(f"00-{trace_id:032x}-{span_id:016x}-")
    (published,) = [span for span in exporter.get_finished_spans() if span.name == "publish stock_events"]
    assert (published.context.trace_id, published.parent.span_id, published.kind) == (
        trace_id,
        span_id,
        SpanKind.PRODUCER,
    )
