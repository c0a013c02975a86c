"""
The common behaviour of consumers, as wrappers of a handler that are handlers themselves.

A consumer's list, the first outermost, is its whole behaviour: see `consumers.py` of a service.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
import tenacity
from confluent_kafka import KafkaException
from prometheus_client import Counter, Histogram

from runtime import errors, spans
from runtime.messaging.message import Handler, Message

Wrapper = Callable[[Handler], Handler]
TRANSIENT = (
    errors.Unavailable,
    errors.DeadlineExceeded,
    errors.ResourceExhausted,
    errors.Aborted,
    KafkaException,
    OSError,
)
"""Transient errors; `TimeoutError` is an `OSError`. All others are permanent."""
PATIENCE_S = 120.0
"""For one batch, before its consumer restarts; the group waits 5 minutes for a member."""
SILENT_TRIES = 2
"""The first tries are not logged: a restarting dependency is back in a moment."""
HANDLED = Counter("consumed_messages", "Messages that a consumer applied or dead-lettered.", ["group"])
RETRIED = Counter("consumed_batches_retried", "Batches that were tried once more.", ["group"])
SECONDS = Histogram(
    "consumed_batch_seconds",
    "Seconds from a batch's delivery to its effect.",
    ["group"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 300),
)
log = structlog.get_logger()


class Rejected(Exception):
    """Raised by a handler that has processed its batch except for *failures*."""

    def __init__(self, failures: Sequence[tuple[Message, Exception]]) -> None:
        super().__init__(f"{len(failures)} messages failed, the first: {failures[0][1]}" if failures else "none")
        self.failures = list(failures)


def chain(handler: Handler, *wrappers: Wrapper) -> Handler:
    """
    Return *handler* inside of *wrappers*, the first of them outermost.
    """
    for wrap in reversed(wrappers):
        handler = wrap(handler)
    return handler


def measured(group: str) -> Wrapper:
    """
    Count the messages of *group*, and the time that a batch takes.
    """
    handled, seconds = HANDLED.labels(group), SECONDS.labels(group)

    def wrap(handler: Handler) -> Handler:
        async def handle(messages: Sequence[Message]) -> None:
            begin = time.perf_counter()
            await handler(messages)
            seconds.observe(time.perf_counter() - begin, spans.exemplar_of(messages))
            handled.inc(len(messages))

        return handle

    return wrap


def retried(group: str, *, patience_s: float = PATIENCE_S, wait: tenacity.wait.wait_base | None = None) -> Wrapper:
    """
    Retry a batch with a transient error for *patience_s*; then raise it.
    """
    retries = RETRIED.labels(group)

    def before_sleep(state: tenacity.RetryCallState) -> None:
        retries.inc()
        error = state.outcome.exception() if state.outcome else None
        if state.attempt_number > SILENT_TRIES:
            log.warning("batch_waits", group=group, attempt=state.attempt_number, error=str(error))

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TRANSIENT),
        wait=wait or tenacity.wait_random_exponential(multiplier=0.1, max=5),
        stop=tenacity.stop_after_delay(patience_s),
        before_sleep=before_sleep,
        reraise=True,
    )

    def wrap(handler: Handler) -> Handler:
        async def handle(messages: Sequence[Message]) -> None:
            await retrying(handler, messages)

        return handle

    return wrap


def concurrently(width: int) -> Wrapper:
    """
    Handle each message on its own, *width* at a time; raise those that failed as `Rejected` at the end.
    """

    def wrap(handler: Handler) -> Handler:
        async def handle(messages: Sequence[Message]) -> None:
            gate = asyncio.Semaphore(width)
            failures: list[tuple[Message, Exception]] = []

            async def one(message: Message) -> None:
                async with gate:
                    try:
                        await handler([message])
                    except Exception as error:
                        failures.append((message, error))

            async with asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(one(message))
            if failures:
                raise Rejected(failures)

        return handle

    return wrap


def traced(name: str) -> Wrapper:
    """
    Record a batch in its messages' traces: its calls belong to the first, the others link to that.

    A message that has failed before links to that attempt.
    """

    def wrap(handler: Handler) -> Handler:
        async def handle(messages: Sequence[Message]) -> None:
            with spans.of_consumed(name, messages):
                try:
                    await handler(messages)
                except Exception as error:
                    spans.mark_attempt(error)
                    raise

        return handle

    return wrap
