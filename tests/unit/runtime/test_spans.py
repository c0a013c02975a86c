"""Work for several traces has a span in each sampled one."""

import asyncio
import collections
import contextlib
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime import spans
from runtime.batching import Batcher
from runtime.messaging import dead_letters
from runtime.messaging.dead_lettering import dead_lettered
from runtime.messaging.message import Message, Record
from runtime.messaging.wrappers import chain, concurrently, measured, traced
from runtime.telemetry import PersonalDataRedaction

TRACES = [f"{number:032x}" for number in range(1, 5)]


def headers(trace_id, *, kept=True, flags="01"):
    return {"traceparent": f"00-{trace_id}-00000000000000aa-{flags if kept else '00'}"}


@pytest.fixture
def finished(monkeypatch):
    """Return the finished spans."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(PersonalDataRedaction())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "tracer", provider.get_tracer("test"))
    return exporter.get_finished_spans


def trace_of(span):
    return trace.format_trace_id(span.context.trace_id)


@pytest.mark.parametrize("flags", ["01", "03"], ids=["sampled", "sampled and random"])
async def test_a_batch_of_messages_has_a_span_in_each_trace(finished, flags):
    seen = []

    async def handle(_):
        seen.append(trace.format_trace_id(trace.get_current_span().get_span_context().trace_id))

    messages = [
        Message("t", 0, number, b"k", b"v", headers(each, kept=number != 1, flags=flags), 0)
        for number, each in enumerate(TRACES)
    ]
    await traced("work")(handle)(messages)
    assert seen == [TRACES[0]]
    spans_by_trace = {trace_of(span): span for span in finished()}
    assert set(spans_by_trace) == {TRACES[0], TRACES[2], TRACES[3]}
    assert {span.parent.span_id for span in spans_by_trace.values()} == {0xAA}
    first = spans_by_trace[TRACES[0]].context.span_id
    assert [link.context.span_id for link in spans_by_trace[TRACES[3]].links] == [first]


class Bus:
    """Keeps what is published."""

    def __init__(self):
        self.records = []

    async def publish_each(self, records):
        self.records += records
        return [None for _ in records]


def delivered(record, offset):
    return Message(record.topic, 0, offset, record.key, record.value, record.headers, 0)


def failing(error):
    async def handle(_):
        raise error

    return handle


async def test_an_attempt_links_to_the_one_before_it_through_retry_topics_and_a_redrive(finished):
    bus, error = Bus(), ValueError("not yet")
    consumer = chain(failing(error), dead_lettered(bus, "later"), traced("work"))
    await consumer([Message("first", 3, 7, b"k", b"v", headers(TRACES[0]), 0)])
    await chain(failing(error), dead_lettered(bus, "dead", onward=True), traced("work"))([delivered(bus.records[0], 8)])
    again = Record("first", b"k", b"v", dead_letters.redriven(bus.records[1].headers))
    await consumer([delivered(again, 9)])
    one, two, three = finished()
    assert {trace_of(span) for span in (one, two, three)} == {TRACES[0]}
    assert [[link.context.span_id for link in span.links] for span in (one, two, three)] == [
        [],
        [one.context.span_id],
        [two.context.span_id],
    ]
    assert {span.status.status_code for span in finished()} == {trace.StatusCode.ERROR}
    assert dict(one.attributes) == {
        "messaging.system": "kafka",
        "messaging.destination.name": "first",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 7,
    }


async def test_messages_that_fail_with_the_same_error_do_not_link_to_each_others_attempts(finished):
    bus, error = Bus(), ValueError("the batch's")
    handle = chain(failing(error), dead_lettered(bus, "later"), concurrently(2), traced("work"))
    await handle([Message("t", 0, number, b"k", b"v", headers(each), 0) for number, each in enumerate(TRACES[:2])])
    for record in bus.records:
        attempt = record.headers.get(spans.ATTEMPT)
        assert attempt is None or attempt.split("-")[1] == record.headers["traceparent"].split("-")[1]
    assert len(bus.records) == 2


@pytest.mark.parametrize("before", [{}, {spans.ATTEMPT: "nonsense"}, {spans.ATTEMPT: f"00-{'0' * 32}-{'0' * 16}-01"}])
async def test_without_a_known_attempt_there_is_no_link(finished, before):
    async def handle(_):
        pass

    await traced("work")(handle)([Message("t", 0, 1, b"k", b"v", headers(TRACES[0]) | before, 0)])
    [span] = finished()
    assert span.links == ()


async def test_an_attempt_in_a_trace_that_is_not_kept_is_not_noted(finished):
    bus = Bus()
    handle = chain(failing(ValueError("no")), dead_lettered(bus, "later"), traced("work"))
    await handle([Message("t", 0, 1, b"k", b"v", headers(TRACES[0], kept=False), 0)])
    assert spans.ATTEMPT not in bus.records[0].headers
    assert finished() == ()


@contextlib.contextmanager
def counted_calls():
    """Count the calls of Python functions in the block; a measurement of time would be one of the machine."""
    counts = collections.Counter()

    def note(frame, event, _):
        counts[event] += event == "call"

    sys.setprofile(note)
    try:
        yield counts
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(("kept", "most"), [(False, 3), (True, None)], ids=["not kept", "kept"])
async def test_a_message_whose_trace_is_not_kept_costs_three_calls_at_most(finished, kept, most):
    async def handle(_):
        pass

    consumer = chain(handle, measured("tests-cost"), traced("work"))

    async def calls(count):
        messages = [Message("t", 0, each, b"k", b"v", headers(TRACES[0], kept=kept), 0) for each in range(count)]
        with counted_calls() as counts:
            await consumer(messages)
        return counts["call"]

    await calls(1)
    few, many = await calls(1), await calls(spans.MAX_SPANS)
    each = (many - few) / (spans.MAX_SPANS - 1)
    if most is None:
        # It is what the others save.
        assert each > 20
    else:
        assert each <= most
        assert finished() == ()


async def test_unsampled_traces_export_nothing_and_propagate_their_id(finished):
    seen = []

    async def handle(_):
        seen.append(trace.format_trace_id(trace.get_current_span().get_span_context().trace_id))

    await traced("work")(handle)([Message("t", 0, 0, b"k", b"v", headers(TRACES[1], kept=False), 0)])
    await traced("work")(handle)([Message("t", 0, 0, b"k", b"v", {"traceparent": "nonsense"}, 0)])
    assert seen == [TRACES[1], "0" * 32]
    assert finished() == ()


async def test_each_batch_has_spans_in_the_traces_of_its_callers(finished):
    in_work = []

    async def work(items):
        in_work.append((items, trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)))
        await asyncio.sleep(0)
        return items

    batcher = Batcher(work, name="work", max_batch=1)

    async def call(trace_id):
        with spans.together("call", [spans.context_of(headers(trace_id))]):
            return await batcher.submit(trace_id)

    await asyncio.gather(*map(call, TRACES))
    assert in_work == [([each], each) for each in TRACES]
    assert sorted(trace_of(span) for span in finished() if span.name == "work") == TRACES


async def test_spans_have_no_personal_data(finished):
    with spans.tracer.start_as_current_span(
        "call", attributes={"rpc.user_agent": "somebody's", "net.peer.ip": "10.0.0.1"}
    ):
        pass
    [span] = finished()
    assert dict(span.attributes) == {"rpc.user_agent": "-", "net.peer.ip": "-"}


@pytest.mark.parametrize(("kept", "expected"), [(True, f"00-{TRACES[0]}-"), (False, "")])
def test_what_is_stored_for_later_work_is_the_present_span_if_its_trace_is_kept(finished, kept, expected):
    with spans.together("call", [spans.context_of(headers(TRACES[0], kept=kept))]):
        found = spans.kept_traceparent()
    assert found[: len(expected)] == expected
    assert bool(found) is kept
    assert spans.kept_traceparent() == ""
