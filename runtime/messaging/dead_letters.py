"""
The format of failed messages in retry and dead-letter topics: the record and its headers.

A failed message keeps its key, its value and its headers, and gets these (docs/events.md
describes them for readers):

    origin_topic, origin_partition, origin_offset   where it was consumed first
    reason              a reason of the contract, or the name of a Python exception
    error               what went wrong, for people; at most 500 characters
    deliveries          the number of failed deliveries
    first_failed_time   time of the first failure, RFC 3339
    attempt_traceparent the span of the last delivery that failed, if its trace is kept
    original_size       only if its value was truncated: its size before, in bytes
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime

from runtime.errors import Error
from runtime.messaging.message import Message, Record
from runtime.spans import ATTEMPT, attempt_of

ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET = "origin_topic", "origin_partition", "origin_offset"
REASON, ERROR, DELIVERIES = "reason", "error", "deliveries"
FIRST_FAILED_TIME, ORIGINAL_SIZE = "first_failed_time", "original_size"
HEADERS = frozenset(
    {
        ORIGIN_TOPIC,
        ORIGIN_PARTITION,
        ORIGIN_OFFSET,
        REASON,
        ERROR,
        DELIVERIES,
        FIRST_FAILED_TIME,
        ORIGINAL_SIZE,
        ATTEMPT,
    }
)
MAX_ERROR_LENGTH = 500
MAX_KEPT, MAX_KEPT_BYTES = 64, 8 * 1024
"""Limits of the sender's headers that are kept, so that the headers above always fit."""
MAX_TRUNCATED_BYTES = 64 * 1024
"""The size that a value that is too large is truncated to."""


def record_of(message: Message, error: Exception, topic: str, *, onward: bool, now: datetime) -> Record:
    """
    Return the record of *message* for *topic*, with *error* in its headers.

    With *onward* it came from a retry topic, and its headers name its origin;
    otherwise they are the sender's, and origins in them are ignored.
    """
    before = message.headers if onward else {}
    headers = {
        ORIGIN_TOPIC: message.topic,
        ORIGIN_PARTITION: str(message.partition),
        ORIGIN_OFFSET: str(message.offset),
        FIRST_FAILED_TIME: now.astimezone(UTC).isoformat(timespec="milliseconds"),
        **{name: before[name] for name in HEADERS if name in before},
        REASON: reason_of(error),
        ERROR: _text(str(error))[:MAX_ERROR_LENGTH],
        DELIVERIES: str(deliveries(before) + 1),
    }
    if attempt := attempt_of(error, message.headers):
        headers[ATTEMPT] = attempt
    return Record(topic, message.key, message.value, _kept(message.headers) | headers)


def truncated(record: Record) -> Record:
    """
    Return *record* with its value truncated and without the sender's headers, so that it always fits.
    """
    value = record.value or b""
    headers = {name: text for name, text in record.headers.items() if name in HEADERS}
    headers.setdefault(ORIGINAL_SIZE, str(len(value)))
    return dataclasses.replace(record, value=value[:MAX_TRUNCATED_BYTES], headers=headers)


def without(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Return *headers* without those that are listed above.
    """
    return {name: value for name, value in headers.items() if name not in HEADERS}


def redriven(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Return the sender's headers of a dead letter, and the attempt that the next one links to.
    """
    return without(headers) | {name: headers[name] for name in (ATTEMPT,) if name in headers}


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    senders = without(headers)
    size = sum(len(name) + len(value.encode()) for name, value in senders.items())
    return senders if len(senders) <= MAX_KEPT and size <= MAX_KEPT_BYTES else {}


def deliveries(headers: Mapping[str, str]) -> int:
    """
    Return the number of failed deliveries of a message with *headers*.
    """
    text = headers.get(DELIVERIES, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def reason_of(error: Exception) -> str:
    """
    Return the value of the `reason` header.
    """
    return error.reason if isinstance(error, Error) else type(error).__name__


def _text(text: str) -> str:
    # Lone surrogates cannot be encoded as UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")
