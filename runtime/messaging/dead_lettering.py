"""
The wrapper that publishes failed messages to a retry or dead-letter topic, so that their partition moves on.

It never blocks a partition itself: a record that is too large is truncated, and one that
Kafka rejects all the same is logged, counted and left in the topic that it came from.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from prometheus_client import Counter

from runtime.clock import now
from runtime.errors import Error, InvalidArgument, Unavailable
from runtime.messaging import dead_letters
from runtime.messaging.errors import TOPIC_UNAVAILABLE
from runtime.messaging.message import Handler, Message, Record
from runtime.messaging.wrappers import TRANSIENT, Rejected, Wrapper

Failure = tuple[Message, Exception]
Route = Callable[[Message, Exception], str | None]
"""Returns the topic for a message that failed; None to count it only."""
MAX_TRIES = 8
"""Publications to a topic that does not exist, before its messages are skipped; about a minute."""
PUBLISHED = Counter(
    "failed_messages_published",
    "Failed messages, by the retry or dead-letter topic that they were published to; empty if only counted.",
    ["topic", "to"],
)
TRUNCATED = Counter(
    "dead_letters_truncated", "Dead letters whose value was truncated because it was too large.", ["to"]
)
NOT_PUBLISHED = Counter(
    "failed_messages_not_published",
    "Failed messages that were skipped, because they could not be published either; alert on any.",
    ["topic", "to"],
)
log = structlog.get_logger()


class Publishes(Protocol):
    """The producer of failed messages."""

    async def publish_each(self, records: Sequence[Record]) -> Sequence[Unavailable | InvalidArgument | None]:
        """Publish; return an error, or None, for each record."""


def dead_lettered(publisher: Publishes, to: Route | str | None, *, onward: bool = False) -> Wrapper:
    """
    Publish messages with a permanent error to the topic that *to* names.

    A transient error is raised, unless the handler itself names the messages that
    failed (`Rejected`). A batch that fails as a whole is handled again message by message.
    *onward* says that the messages come from a retry topic.
    """
    route: Route = to if callable(to) else lambda _, __: to

    def wrap(handler: Handler) -> Handler:
        failed = _Publication(publisher, route, onward=onward)

        async def handle(messages: Sequence[Message]) -> None:
            await failed.publish(await _failures(handler, messages))

        return handle

    return wrap


async def _failures(handler: Handler, messages: Sequence[Message]) -> list[Failure]:
    try:
        await handler(messages)
    except Rejected as rejected:
        return rejected.failures
    except TRANSIENT:
        raise
    except Exception as error:
        if len(messages) == 1:
            return [(messages[0], error)]
        return [failure for message in messages for failure in await _failures(handler, [message])]
    return []


@dataclass(frozen=True)
class _Failed:
    """A message, its error, and the record to publish."""

    message: Message
    error: Exception
    record: Record


class _Publication:
    """Publishes failed messages, and counts how often a topic did not exist."""

    def __init__(self, publisher: Publishes, route: Route, *, onward: bool) -> None:
        self._publisher = publisher
        self._route = route
        self._onward = onward
        self._missing: Tally[str] = Tally()

    async def publish(self, failures: Sequence[Failure]) -> None:
        """
        Return once each failure is published or skipped; raise `Unavailable` if the batch must be redelivered.
        """
        failed = []
        for message, error in failures:
            topic = self._route(message, error)
            if topic is None:
                _report(message, error, "")
            else:
                record = dead_letters.record_of(message, error, topic, onward=self._onward, now=now())
                failed.append(_Failed(message, error, record))
        refused = await self._publish(failed)
        for each in refused:
            TRUNCATED.labels(each.record.topic).inc()
        for each in await self._publish(
            [replace(each, record=dead_letters.truncated(each.record)) for each in refused]
        ):
            _skip(each, "refused")

    async def _publish(self, failed: Sequence[_Failed]) -> list[_Failed]:
        """
        Return the records that Kafka permanently rejects.
        """
        refused, waiting = [], []
        outcomes = await self._publisher.publish_each([each.record for each in failed]) if failed else []
        for each, outcome in zip(failed, outcomes, strict=True):
            if isinstance(outcome, InvalidArgument):
                refused.append(each)
            elif outcome is not None:
                waiting.append((each, outcome))
            else:
                self._missing.pop(each.record.topic, None)
                _report(each.message, each.error, each.record.topic)
        self._redeliver_or_skip(waiting)
        return refused

    def _redeliver_or_skip(self, waiting: Sequence[tuple[_Failed, Unavailable]]) -> None:
        """
        Raise, so that the batch is redelivered, unless the topic has not existed for too many tries.
        """
        self._missing.update({each.record.topic for each, error in waiting if error.reason == TOPIC_UNAVAILABLE})
        for each, error in waiting:
            if self._missing[each.record.topic] < MAX_TRIES:
                raise error
        for each, error in waiting:
            _skip(each, error.message)


def _report(message: Message, error: Exception, topic: str) -> None:
    PUBLISHED.labels(message.topic, topic).inc()
    expected = isinstance(error, Error)
    write = log.info if expected and topic and not topic.endswith(".dead") else log.error
    write(
        "failed_message_published",
        place=message.place,
        to=topic,
        key=message.key[:80].decode(errors="replace"),
        reason=dead_letters.reason_of(error),
        error=str(error)[: dead_letters.MAX_ERROR_LENGTH],
        exc_info=None if expected else error,
    )


def _skip(failed: _Failed, problem: str) -> None:
    NOT_PUBLISHED.labels(failed.message.topic, failed.record.topic).inc()
    log.error("failed_message_not_published", place=failed.message.place, to=failed.record.topic, problem=problem)
