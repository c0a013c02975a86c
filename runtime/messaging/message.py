"""
A message as handlers see it, built from a librdkafka message.

Reading a record never raises and never ends the process, whatever is in it.
"""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import confluent_kafka
import structlog
from prometheus_client import Counter

MAX_HEADERS = 128
MAX_HEADER_BYTES = 16 * 1024
"""Names and values together; a record with more is handled without its headers."""
UNREADABLE = Counter(
    "kafka_unreadable_headers", "Records whose headers were dropped because they cannot be read.", ["topic"]
)
log = structlog.get_logger()

# A header name that is not UTF-8 leaves a list with a null pointer in it *and* an exception (confluent-kafka 2.16.1,
# `c_headers_to_py`). Written as `message.headers()`, CPython's specialized instruction returns that list without
# checking the exception, and unpacking it ends the process. `methodcaller` uses the path that checks, so it always
# raises.
_read_headers = operator.methodcaller("headers")


@dataclass(frozen=True)
class Message:
    """A consumed message."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Mapping[str, str]
    timestamp_ms: int

    @property
    def place(self) -> str:
        """
        Return the message's position for logs: `topic/partition/offset`.
        """
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Record:
    """A record to publish: *key* decides the partition, and so the order."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Sequence[Message]], Awaitable[None]]
"""Processes a batch, or raises; called again with the same messages after a crash."""


def message_of(raw: confluent_kafka.Message) -> Message:
    """
    Convert a librdkafka message; unreadable headers are dropped and counted.
    """
    topic, partition, offset = raw.topic() or "", raw.partition() or 0, raw.offset() or 0
    headers = _headers(raw)
    if headers is None:
        UNREADABLE.labels(topic).inc()
        log.warning("message_headers_unreadable", topic=topic, partition=partition, offset=offset)
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=raw.key() or b"",
        value=raw.value(),
        headers=headers or {},
        timestamp_ms=raw.timestamp()[1],
    )


def _headers(raw: confluent_kafka.Message) -> dict[str, str] | None:
    """
    Return the headers of *raw*, None if they are unreadable or exceed the limits.
    """
    try:
        pairs = cast(list[tuple[str, bytes | None]], _read_headers(raw) or [])
    except (SystemError, UnicodeError):
        # The broken list is still in there, for the next reader.
        raw.set_headers([])
        return None
    if len(pairs) > MAX_HEADERS or sum(len(name) + len(value or b"") for name, value in pairs) > MAX_HEADER_BYTES:
        return None
    return {name: (value or b"").decode("utf-8", "replace") for name, value in pairs}
