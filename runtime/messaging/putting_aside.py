"""
The wrapper that puts aside what a handler can do nothing with, so that its partition moves on.

It cannot fail for good itself: what does not fit is cut, and what cannot be
written at all is told, counted and left where it is, in the topic it came from.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog
from prometheus_client import Counter

from runtime.errors import Error, InvalidArgument, Unavailable
from runtime.messaging import dead_letters
from runtime.messaging.errors import TOPIC_UNAVAILABLE
from runtime.messaging.message import Handler, Message, Record
from runtime.messaging.wrappers import TRANSIENT, Rejected, Wrapper

Failure = tuple[Message, Exception]
Route = Callable[[Message, Exception], str | None]
"""Names the topic for a message that failed; None if it is to be counted only."""
MAX_TRIES = 8
"""Of a topic that Kafka does not have, while it takes others; about a minute."""
PUT_ASIDE = Counter(
    "messages_put_aside",
    "Messages that went on to a retry or dead-letter topic; to none if it is empty.",
    ["topic", "to"],
)
CUT = Counter("messages_cut", "Dead letters whose value was cut because it did not fit.", ["to"])
LOST = Counter(
    "messages_not_put_aside",
    "Messages that could not be put aside and were left behind; alert on any.",
    ["topic", "to"],
)
log = structlog.get_logger()


class Publishes(Protocol):
    """Where messages go on to."""

    async def publish_each(self, records: Sequence[Record]) -> Sequence[Unavailable | InvalidArgument | None]:
        """Publish and return for each record what went wrong."""


def dead_lettered(publisher: Publishes, to: Route | str | None, *, onward: bool = False) -> Wrapper:
    """
    Put aside, to the topic that *to* names, the messages that fail whenever they come.

    What a repeat may heal is raised, unless the handler itself says which messages
    failed (`Rejected`). A batch that fails as a whole is handled again one by one.
    *onward* says that the messages come from a retry topic.
    """
    route: Route = to if callable(to) else lambda _, __: to

    def wrap(handler: Handler) -> Handler:
        aside = _Aside(publisher, route, onward=onward)

        async def handle(messages: Sequence[Message]) -> None:
            await aside.put(await _failures(handler, messages))

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


class _Aside:
    """Publishes what failed, and knows how often a topic was not there."""

    def __init__(self, publisher: Publishes, route: Route, *, onward: bool) -> None:
        self._publisher = publisher
        self._route = route
        self._onward = onward
        self._missed: Tally[str] = Tally()

    async def put(self, failures: Sequence[Failure]) -> None:
        """
        Return once each failure is where it belongs, or given up; raise `Unavailable` if they should come again.
        """
        going: list[tuple[Message, Record]] = []
        for message, error in failures:
            topic = self._route(message, error)
            _tell(message, error, topic)
            if topic is not None:
                now = datetime.now(UTC)
                going.append((message, dead_letters.put_aside(message, error, topic, onward=self._onward, now=now)))
        refused = await self._publish(going)
        for _, record in refused:
            CUT.labels(record.topic).inc()
        for message, record in await self._publish(
            [(message, dead_letters.cut(record)) for message, record in refused]
        ):
            _lose(message, record, "refused")

    async def _publish(self, going: Sequence[tuple[Message, Record]]) -> list[tuple[Message, Record]]:
        """
        Return what Kafka never takes as it is.
        """
        refused, waiting = [], []
        outcomes = await self._publisher.publish_each([record for _, record in going]) if going else []
        for (message, record), outcome in zip(going, outcomes, strict=True):
            if isinstance(outcome, InvalidArgument):
                refused.append((message, record))
            elif outcome is not None:
                waiting.append((message, record, outcome))
            else:
                self._missed.pop(record.topic, None)
                PUT_ASIDE.labels(message.topic, record.topic).inc()
        self._wait_or_lose(waiting)
        return refused

    def _wait_or_lose(self, waiting: Sequence[tuple[Message, Record, Unavailable]]) -> None:
        """
        Raise what makes the batch come again, unless its topic has not been there for too often.
        """
        self._missed.update({record.topic for _, record, error in waiting if error.reason == TOPIC_UNAVAILABLE})
        for _, record, error in waiting:
            if self._missed[record.topic] < MAX_TRIES:
                raise error
        for message, record, error in waiting:
            _lose(message, record, error.message)


def _tell(message: Message, error: Exception, topic: str | None) -> None:
    if topic is None:
        PUT_ASIDE.labels(message.topic, "").inc()
    report = log.info if topic is not None and isinstance(error, Error) and not topic.endswith(".dead") else log.error
    report(
        "message_put_aside",
        place=message.place,
        to=topic,
        key=message.key[:80].decode(errors="replace"),
        reason=dead_letters.reason_of(error),
        error=str(error)[: dead_letters.MAX_ERROR_LENGTH],
        exc_info=None if isinstance(error, Error) else error,
    )


def _lose(message: Message, record: Record, problem: str) -> None:
    LOST.labels(message.topic, record.topic).inc()
    log.error("message_not_put_aside", place=message.place, to=record.topic, problem=problem)
