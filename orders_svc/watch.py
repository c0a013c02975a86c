"""
Watching orders: one listener for each process, however many clients watch.

The database is read when something changed, once for all who watch it, and
every few seconds in case that nobody told.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from orders_svc.ports import ChangeLine, Changes, History
from runtime.errors import Aborted, Error, ResourceExhausted, Unauthenticated, Unavailable

WATCHERS = Gauge("orders_watchers", "Streams of WatchOrder.")
# An order has at most three changes; a reader that is this far behind is not reading.
QUEUE_LIMIT = 16
POLL_S = 5.0
log = structlog.get_logger()

Version = tuple[int, bytes]


class Watcher:
    """One stream: what it has not sent yet, bounded."""

    def __init__(self, from_version: int) -> None:
        self.next_version = from_version
        self.lost = False
        self._queue: asyncio.Queue[Version | Error] = asyncio.Queue(QUEUE_LIMIT)

    def put(self, version: int, snapshot: bytes) -> None:
        """
        Take a version that the stream has not had; one that is too slow is told so at its end.
        """
        if version < self.next_version or self.lost:
            return
        self.next_version = version + 1
        try:
            self._queue.put_nowait((version, snapshot))
        except asyncio.QueueFull:
            self.end(Aborted("the stream is read too slowly; watch again from the last version", reason="SLOW_WATCHER"))

    def end(self, error: Error) -> None:
        """
        Have the stream end with *error* as soon as it reads.
        """
        self.lost = True
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(error)

    async def get(self, timeout_s: float) -> Version | None:
        """
        Return the next version, None after *timeout_s* without one, or raise why there will be no more.
        """
        try:
            async with asyncio.timeout(timeout_s):
                event = await self._queue.get()
        except TimeoutError:
            return None
        if isinstance(event, Error):
            raise event
        return event


class Subscriptions:
    """Hears of changes and hands them to the watchers of their orders."""

    def __init__(self, changes: Changes, history: History, *, max_watchers: int) -> None:
        self._changes = changes
        self._history = history
        self._max_watchers = max_watchers
        self._watchers: dict[uuid.UUID, set[Watcher]] = {}
        self._count = 0
        self._ended = False
        self._changed: set[uuid.UUID] = set()
        self._some = asyncio.Event()

    @contextmanager
    def watch(self, order_id: uuid.UUID, from_version: int) -> Iterator[Watcher]:
        """
        Yield a watcher that gets every version from *from_version* on, earlier ones included.
        """
        if self._ended:
            raise stopping()
        if self._count >= self._max_watchers:
            raise ResourceExhausted("too many orders are watched here", reason="TOO_MANY_WATCHERS", retry_after_s=5)
        watcher = Watcher(from_version)
        self._watchers.setdefault(order_id, set()).add(watcher)
        self._count += 1
        WATCHERS.set(self._count)
        self._mark(order_id)
        try:
            yield watcher
        finally:
            self._count -= 1
            WATCHERS.set(self._count)
            self._watchers[order_id].discard(watcher)
            if not self._watchers[order_id]:
                del self._watchers[order_id]

    def end(self) -> None:
        """
        End every stream, because this replica stops.
        """
        self._ended = True
        for watcher in [each for some in self._watchers.values() for each in some]:
            watcher.end(stopping())

    async def run(self) -> None:
        """
        Listen until cancelled; a lost database only makes it wait.
        """
        while True:
            try:
                async with self._changes.listen(self._notified) as line:
                    await self._serve(line)
            except Unavailable as error:
                log.warning("watch_database_unavailable", error=error.message)
            await asyncio.sleep(0.5)

    async def _serve(self, line: ChangeLine) -> None:
        while True:
            if not await self._told():
                # Nobody told: look at all, in one query, and find out whether the line is alive.
                await line.probe()
                self._changed |= self._watchers.keys()
            self._some.clear()
            changed, self._changed = self._changed, set()
            await self._hand_out(changed)

    async def _told(self) -> bool:
        try:
            async with asyncio.timeout(POLL_S):
                return await self._some.wait()
        except TimeoutError:
            return False

    def _notified(self, payload: str) -> None:
        for word in payload.split(","):
            order_id = uuid.UUID(word)
            if order_id in self._watchers:
                self._mark(order_id)

    def _mark(self, order_id: uuid.UUID) -> None:
        self._changed.add(order_id)
        self._some.set()

    async def _hand_out(self, changed: set[uuid.UUID]) -> None:
        since = {
            order_id: min(watcher.next_version for watcher in self._watchers[order_id])
            for order_id in changed
            if order_id in self._watchers
        }
        if not since:
            return
        try:
            versions = await self._history.history(since)
        except Unavailable:
            self._changed |= changed
            raise
        for order_id, version, snapshot in versions:
            for watcher in tuple(self._watchers.get(order_id, ())):
                watcher.put(version, snapshot)


def stopping() -> Unavailable:
    """
    Return what watchers are told when this replica stops.
    """
    return Unavailable("this replica stops; watch again from the last version", retry_after_s=1)


@dataclass(frozen=True)
class End:
    """When a stream has lasted long enough, on the loop's clock, and what its reader is told then."""

    at: float
    error: Error

    @classmethod
    def of(cls, max_s: float, token_left_s: float | None) -> End:
        """
        Return the end of a stream that begins now: after *max_s*, or with the caller's token.
        """
        now = asyncio.get_running_loop().time()
        if token_left_s is not None and token_left_s < max_s:
            return cls(now + token_left_s, Unauthenticated("the token has ended; sign in", reason="TOKEN_EXPIRED"))
        return cls(now + max_s, Aborted("the stream has lasted long enough; watch again", reason="WATCH_ENDED"))


async def events(watcher: Watcher, heartbeat_s: float, end: End) -> AsyncIterator[Version | None]:
    """
    Yield the watched order's versions, and None whenever *heartbeat_s* pass without one, until *end*, which it raises.
    """
    loop = asyncio.get_running_loop()
    while (left := end.at - loop.time()) > 0:
        event = await watcher.get(min(heartbeat_s, left))
        if event is not None or left > heartbeat_s:
            yield event
    raise end.error
