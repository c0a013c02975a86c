"""Background tasks, for as long as the process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import structlog
from prometheus_client import Counter

Work = Callable[[], Coroutine[Any, Any, None]]
"""Starts a task that runs until it is cancelled; it can be restarted."""
FAILURES = Counter(
    "background_failures", "Times that work beside the calls ended by itself and was restarted.", ["work"]
)
PAUSE_S = 2.0
END_S = 20.0
"""For a task that must leave its consumer group first, and may wait for Kafka."""
log = structlog.get_logger()


async def keep_going(name: str, work: Work, *, pause_s: float = PAUSE_S) -> None:
    """
    Run *work* until cancelled; exceptions are logged and counted, and it is restarted after *pause_s*.

    It never ends the process: a failure here happens in every replica at the same moment, and calls can be answered
    meanwhile.
    """
    task = asyncio.current_task()
    failures = FAILURES.labels(name)
    while True:
        try:
            await work()
            log.error("background_work_ended", work=name)
        except Exception:
            log.exception("background_work_failed", work=name)
        if task is not None and task.cancelling():
            # Cancelled while cleaning up: stop instead of restarting.
            return
        failures.inc()
        await asyncio.sleep(pause_s)


async def end(running: Collection[asyncio.Task[None]], *, within_s: float = END_S) -> None:
    """
    Cancel the *running* tasks and wait for their end; those that have not ended *within_s* are named and abandoned.
    """
    for task in running:
        task.cancel()
    if running:
        _, left = await asyncio.wait(running, timeout=within_s)
        if left:
            log.error("background_work_stuck", work=sorted(task.get_name() for task in left))
