"""The headers and values of dead letters, and their limits."""

from datetime import UTC, datetime

import pytest

from runtime.messaging.dead_letters import (
    HEADERS,
    MAX_ERROR_LENGTH,
    MAX_KEPT,
    MAX_KEPT_BYTES,
    MAX_TRUNCATED_BYTES,
    deliveries,
    record_of,
    truncated,
)
from runtime.messaging.message import Message, Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def aside(headers, *, onward=False, error=None):
    message = Message("t", 3, 7, b"k", b"v", headers, 0)
    return record_of(message, error or ValueError("no"), "t.dead", onward=onward, now=NOW)


@pytest.mark.parametrize(("count", "kept"), [(MAX_KEPT, MAX_KEPT), (MAX_KEPT + 1, 0)])
def test_a_senders_headers_stay_unless_they_are_too_many(count, kept):
    record = aside({f"h{number}": "" for number in range(count)})
    assert len(record.headers.keys() - HEADERS) == kept


@pytest.mark.parametrize(("size", "kept"), [(MAX_KEPT_BYTES - 1, 1), (MAX_KEPT_BYTES, 0)])
def test_a_senders_headers_stay_unless_they_are_too_large(size, kept):
    assert len(aside({"h": "x" * size}).headers.keys() - HEADERS) == kept


def test_a_dead_letter_has_its_origin_and_reason():
    record = aside({})
    assert (record.topic, record.key, record.value) == ("t.dead", b"k", b"v")
    assert record.headers == {
        "origin_topic": "t",
        "origin_partition": "3",
        "origin_offset": "7",
        "first_failed_time": "2026-01-01T00:00:00.000+00:00",
        "reason": "ValueError",
        "error": "no",
        "deliveries": "1",
    }


def test_an_error_text_is_truncated():
    assert len(aside({}, error=ValueError("x" * 2 * MAX_ERROR_LENGTH)).headers["error"]) == MAX_ERROR_LENGTH


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 0), ("0", 0), ("12", 12), ("-1", 0), ("x", 0), ("\u0663", 0), ("9" * 9, 999_999_999), ("1" * 10, 0)],
)
def test_the_number_of_deliveries_is_parsed(text, number):
    assert deliveries({"deliveries": text}) == number
    assert deliveries({}) == 0


def test_a_truncated_record_keeps_its_start_origin_and_size():
    value = bytes(MAX_TRUNCATED_BYTES) + b"x"
    short = truncated(Record("t.dead", b"k", value, {"origin_topic": "t", "sender": "s"}))
    assert short.value == value[:MAX_TRUNCATED_BYTES]
    assert short.headers == {"origin_topic": "t", "original_size": str(MAX_TRUNCATED_BYTES + 1)}
    # Truncated again, it still has the original size.
    assert truncated(short).headers["original_size"] == str(MAX_TRUNCATED_BYTES + 1)


def test_a_record_without_a_value_can_be_truncated():
    assert truncated(Record("t", b"k", None)).value == b""
    assert truncated(Record("t", b"k", None)).headers == {"original_size": "0"}
