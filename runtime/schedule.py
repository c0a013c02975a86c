"""Periodic work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from runtime.errors import Error

log = structlog.get_logger()


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """
    Do *work* every *seconds* until cancelled; an `Error` is logged, and the schedule continues.
    """
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Error as error:
            log.warning("scheduled_work_failed", error=error.message)
