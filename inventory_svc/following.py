"""Following a Kafka topic for ever: a batch is tried again until Redis and Kafka can take it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
import tenacity
from confluent_kafka import KafkaException

from runtime import errors
from runtime.messaging.consumer import consume
from runtime.messaging.message import Handler, Message

PATIENCE_S = 120
"""For one batch, before the consumer starts anew; the group waits 5 minutes for a member."""
RESTART_S = 1.0
log = structlog.get_logger()


async def follow(brokers: str, *, group: str, topic: str, handle: Handler, client_id: str) -> None:
    """
    Hand the topic's messages to *handle* in batches, for ever.

    A batch that meets `Unavailable` is tried again under backoff; its effects are
    idempotent. Offsets are committed after the effect, so a batch that has to be
    given up comes again.
    """
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(errors.Unavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        stop=tenacity.stop_after_delay(PATIENCE_S),
        before_sleep=_log_wait,
        reraise=True,
    )

    async def handle_patiently(messages: Sequence[Message]) -> None:
        await retrying(handle, messages)

    while True:
        try:
            await consume(brokers, group=group, topics=[topic], handle=handle_patiently, client_id=client_id)
        except (errors.Unavailable, KafkaException, TimeoutError) as error:
            log.warning("following starts anew", topic=topic, group=group, error=repr(error))
            await asyncio.sleep(RESTART_S)


def _log_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    # The first tries are silent: a Redis that restarts is back in a moment.
    if state.attempt_number >= 3:
        log.warning("a batch waits", attempt=state.attempt_number, error=str(error))
