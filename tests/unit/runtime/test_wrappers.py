"""The wrappers of a handler: retries, dead-lettering, and that dead-lettering cannot fail permanently."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
import tenacity

from runtime.errors import Internal, InvalidArgument, Unavailable
from runtime.messaging import dead_lettering, dead_letters
from runtime.messaging.dead_lettering import NOT_PUBLISHED, dead_lettered
from runtime.messaging.errors import TOPIC_UNAVAILABLE
from runtime.messaging.message import Message
from runtime.messaging.wrappers import Rejected, chain, concurrently, measured, retried, traced

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(number, *, headers=None, topic="t", value=b"v"):
    return Message(topic, 1, number, b"k", value, headers or {}, -1)


class Bus:
    """A publisher; *refuse* returns the error of each record."""

    def __init__(self, refuse=lambda record: None):
        self.refuse = refuse
        self.records = []

    async def publish_each(self, records):
        outcomes = [self.refuse(record) for record in records]
        self.records += [record for record, outcome in zip(records, outcomes, strict=True) if outcome is None]
        return outcomes


def failing(*bad, error):
    """Return a handler that fails at the offsets *bad*."""
    seen = []

    async def handle(messages):
        seen.append([each.offset for each in messages])
        if any(each.offset in bad for each in messages):
            raise error

    return handle, seen


async def test_wrappers_run_in_the_order_they_are_listed():
    calls = []

    def wrapper(name):
        def wrap(handler):
            async def handle(messages):
                calls.append(name)
                await handler(messages)

            return handle

        return wrap

    async def handle(_):
        calls.append("handler")

    await chain(handle, wrapper("first"), measured("g"), traced("t"), wrapper("second"))([message(1), message(2)])
    assert calls == ["first", "second", "handler"]


async def test_transient_errors_are_retried_and_then_raised():
    calls = []

    async def handle(_):
        calls.append(1)
        if len(calls) < 4:
            raise Unavailable("away")

    await retried("g", patience_s=60, wait=tenacity.wait_none())(handle)([message(1)])
    assert len(calls) == 4
    calls.clear()
    with pytest.raises(Unavailable):
        await retried("g", patience_s=0)(handle)([message(1)])


@pytest.mark.parametrize("error", [KeyError("bug"), Internal("x"), OverflowError("time"), RecursionError()])
async def test_the_permanently_failing_message_is_dead_lettered_and_the_others_are_handled(error):
    bus = Bus()
    handle, seen = failing(2, error=error)
    await dead_lettered(bus, "t.dead")(handle)([message(1), message(2), message(3)])
    assert seen == [[1, 2, 3], [1], [2], [3]]
    (record,) = bus.records
    assert record.topic == "t.dead"
    assert (record.headers["origin_topic"], record.headers["origin_partition"]) == ("t", "1")
    assert (record.headers["origin_offset"], record.headers["deliveries"]) == ("2", "1")


async def test_transient_errors_are_not_dead_lettered():
    bus = Bus()
    handle, _ = failing(2, error=Unavailable("away"))
    with pytest.raises(Unavailable):
        await dead_lettered(bus, "t.dead")(handle)([message(1), message(2)])
    assert bus.records == []


async def test_messages_are_handled_one_by_one_and_failures_are_named():
    running = Counter()

    async def handle(messages):
        (one,) = messages
        running.update(["now"])
        running["most"] = max(running["most"], running["now"])
        await asyncio.sleep(0.001)
        running.subtract(["now"])
        if one.offset % 2:
            raise Unavailable("odd")

    with pytest.raises(Rejected) as rejected:
        await concurrently(3)(handle)([message(number) for number in range(10)])
    assert sorted(each.offset for each, _ in rejected.value.failures) == [1, 3, 5, 7, 9]
    assert running["most"] == 3


async def test_an_oversized_dead_letter_is_truncated_and_has_its_origin():
    too_large = InvalidArgument("too large", reason="RECORD_REFUSED")
    bus = Bus(lambda record: too_large if len(record.value) > 100_000 else None)
    handle, _ = failing(7, error=KeyError("bug"))
    await dead_lettered(bus, "t.dead")(handle)([message(7, value=b"x" * 1_000_000, headers={"foreign": "y"})])
    (record,) = bus.records
    assert record.value == b"x" * dead_letters.MAX_TRUNCATED_BYTES
    assert record.headers["original_size"] == "1000000"
    assert (record.headers["origin_topic"], record.headers["origin_offset"]) == ("t", "7")
    assert "foreign" not in record.headers


async def test_a_missing_dead_letter_topic_blocks_the_partition_for_a_limited_time():
    gone = Unavailable("unknown topic", reason=TOPIC_UNAVAILABLE)
    bus = Bus(lambda record: gone)
    handle, _ = failing(7, error=KeyError("bug"))
    handler = dead_lettered(bus, "t.dead")(handle)
    before = NOT_PUBLISHED.labels("t", "t.dead")._value.get()
    for _ in range(dead_lettering.MAX_TRIES - 1):
        with pytest.raises(Unavailable):
            await handler([message(7)])
    await handler([message(7)])
    assert NOT_PUBLISHED.labels("t", "t.dead")._value.get() == before + 1


async def test_while_kafka_is_down_nothing_is_skipped():
    bus = Bus(lambda record: Unavailable("away", reason="KAFKA_UNAVAILABLE"))
    handle, _ = failing(7, error=KeyError("bug"))
    handler = dead_lettered(bus, "t.dead")(handle)
    for _ in range(dead_lettering.MAX_TRIES * 3):
        with pytest.raises(Unavailable):
            await handler([message(7)])


async def test_without_a_topic_failures_are_only_counted():
    bus = Bus()
    handle, _ = failing(1, error=ValueError("a time out of range"))
    await dead_lettered(bus, None)(handle)([message(1), message(2)])
    assert bus.records == []


class TestHeaders:
    def put(self, *, headers=None, error=None, onward=False):
        error = error or Unavailable("x" * 9000)
        made = message(3, headers=headers, topic="pending_orders.retry.5s")
        return dead_letters.record_of(made, error, "next", onward=onward, now=NOW).headers

    def test_origin_and_first_failure_time_are_kept_through_retry_topics(self):
        first = {"origin_topic": "pending_orders", "origin_partition": "4", "origin_offset": "9"}
        headers = self.put(headers={**first, "first_failed_time": "before", "deliveries": "2"}, onward=True)
        assert {name: headers[name] for name in first} == first
        assert (headers["first_failed_time"], headers["deliveries"]) == ("before", "3")

    def test_origin_headers_of_senders_are_ignored(self):
        headers = self.put(headers={"origin_topic": "stock_ledger", "deliveries": "9", "traceparent": "00-1"})
        assert (headers["origin_topic"], headers["deliveries"]) == ("pending_orders.retry.5s", "1")
        assert headers["traceparent"] == "00-1"
        assert headers["first_failed_time"] == "2026-01-01T00:00:00.000+00:00"

    @pytest.mark.parametrize("deliveries", ["", "-1", "x", "٣", "9" * 5000])
    def test_an_invalid_delivery_count_is_0(self, deliveries):
        assert self.put(headers={"deliveries": deliveries}, onward=True)["deliveries"] == "1"

    def test_our_headers_fit_beside_the_senders(self):
        assert self.put(headers={f"h{n}": "" for n in range(64)})["h63"] == ""
        for many in ({f"h{n}": "" for n in range(65)}, {"h": "x" * 9000}):
            assert set(self.put(headers=many)) <= dead_letters.HEADERS

    def test_an_error_text_is_truncated_and_encodable(self):
        assert len(self.put()["error"]) == 500
        assert self.put(error=ValueError("\ud800"))["error"].encode()
        assert self.put(error=KeyError())["reason"] == "KeyError"
