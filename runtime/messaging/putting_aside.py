"""
The wrapper that puts aside what a handler can do nothing with, so that its partition moves on.

It cannot fail for good itself: what does not fit is cut, and what cannot be
written at all is logged, counted and left where it is, in the topic it came from.
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


@dataclass(frozen=True)
class _Going:
    """A message, what it met, and the record that it becomes."""

    message: Message
    error: Exception
    record: Record


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
        going = []
        for message, error in failures:
            topic = self._route(message, error)
            if topic is None:
                _tell(message, error, "")
            else:
                record = dead_letters.put_aside(message, error, topic, onward=self._onward, now=now())
                going.append(_Going(message, error, record))
        refused = await self._publish(going)
        for each in refused:
            CUT.labels(each.record.topic).inc()
        for each in await self._publish([replace(each, record=dead_letters.cut(each.record)) for each in refused]):
            _lose(each, "refused")

    async def _publish(self, going: Sequence[_Going]) -> list[_Going]:
        """
        Return what Kafka never takes as it is.
        """
        refused, waiting = [], []
        outcomes = await self._publisher.publish_each([each.record for each in going]) if going else []
        for each, outcome in zip(going, outcomes, strict=True):
            if isinstance(outcome, InvalidArgument):
                refused.append(each)
            elif outcome is not None:
                waiting.append((each, outcome))
            else:
                self._missed.pop(each.record.topic, None)
                _tell(each.message, each.error, each.record.topic)
        self._wait_or_lose(waiting)
        return refused

    def _wait_or_lose(self, waiting: Sequence[tuple[_Going, Unavailable]]) -> None:
        """
        Raise what makes the batch come again, unless its topic has not been there for too often.
        """
        self._missed.update({each.record.topic for each, error in waiting if error.reason == TOPIC_UNAVAILABLE})
        for each, error in waiting:
            if self._missed[each.record.topic] < MAX_TRIES:
                raise error
        for each, error in waiting:
            _lose(each, error.message)


def _tell(message: Message, error: Exception, topic: str) -> None:
    PUT_ASIDE.labels(message.topic, topic).inc()
    expected = isinstance(error, Error)
    report = log.info if expected and topic and not topic.endswith(".dead") else log.error
    report(
        "message_put_aside",
        place=message.place,
        to=topic,
        key=message.key[:80].decode(errors="replace"),
        reason=dead_letters.reason_of(error),
        error=str(error)[: dead_letters.MAX_ERROR_LENGTH],
        exc_info=None if expected else error,
    )


def _lose(going: _Going, problem: str) -> None:
    LOST.labels(going.message.topic, going.record.topic).inc()
    log.error("message_not_put_aside", place=going.message.place, to=going.record.topic, problem=problem)
