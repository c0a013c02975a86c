"""PostgreSQL notifications, sent after the commit of what they announce."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import asyncpg
import structlog

from runtime.database import NOT_NOW

GATHER_S = 0.01
"""Notifications within this time are sent together."""
log = structlog.get_logger()


class Notifier:
    """
    Notifies every process of changes, after the commit.

    NOTIFY inside a transaction serializes commits, so it is sent separately; one that is lost with the process delays
    its listeners by a poll.
    """

    def __init__(self, pool: asyncpg.Pool, *, most_waiting: int = 10_000) -> None:
        self._pool = pool
        self._most_waiting = most_waiting
        self._waiting: dict[tuple[str, str], None] = {}
        self._some = asyncio.Event()

    def notify(self, channel: str, words: Iterable[str]) -> None:
        """
        Notify *channel* soon with each of *words* (UUIDs or shorter).
        """
        for word in words:
            if len(self._waiting) < self._most_waiting:
                self._waiting[channel, word] = None
        self._some.set()

    async def run(self) -> None:
        """
        Notify until cancelled.
        """
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER_S)
            self._some.clear()
            waiting, self._waiting = list(self._waiting), {}
            try:
                await self._notify(waiting)
            except (*NOT_NOW, asyncpg.PostgresError) as error:
                log.warning("notify_failed", error=str(error) or type(error).__name__)

    async def _notify(self, waiting: Sequence[tuple[str, str]]) -> None:
        channels: dict[str, list[str]] = {}
        for channel, word in waiting:
            channels.setdefault(channel, []).append(word)
        # A payload may have 8,000 bytes.
        calls = [
            (channel, ",".join(words[at : at + 200]))
            for channel, words in channels.items()
            for at in range(0, len(words), 200)
        ]
        await self._pool.executemany("SELECT pg_notify($1, $2)", calls, timeout=5)
