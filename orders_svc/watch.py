"""
Watching orders: one listener per process, however many clients watch.

The database is read when something changed, once for all watchers, and every few seconds in case a notification was
lost.
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
MAX_QUEUED = 16
POLL_S = 5.0
RESTART_S = 0.5
log = structlog.get_logger()

Version = tuple[int, bytes]


class Subscription:
    """One stream: what it has not sent yet, bounded."""

    def __init__(self, from_version: int) -> None:
        self.next_version = from_version
        self.lost = False
        self._queue: asyncio.Queue[Version | Error] = asyncio.Queue(MAX_QUEUED)

    def put(self, version: int, snapshot: bytes) -> None:
        """
        Add a version that the stream has not had; a stream that is too slow is ended with `SLOW_WATCHER`.
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
        End the stream with *error* at its next read.
        """
        self.lost = True
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(error)

    async def get(self, timeout_s: float) -> Version | None:
        """
        Return the next version, None after *timeout_s* without one, or raise the error that ended the stream.
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
    """Receives notifications and passes versions to the watchers of their orders."""

    def __init__(self, changes: Changes, history: History, *, max_watchers: int) -> None:
        self._changes = changes
        self._history = history
        self._max_watchers = max_watchers
        self._by_order: dict[uuid.UUID, set[Subscription]] = {}
        self._count = 0
        self._ended = False
        self._changed: set[uuid.UUID] = set()
        self._some = asyncio.Event()

    @contextmanager
    def watch(self, order_id: uuid.UUID, from_version: int) -> Iterator[Subscription]:
        """
        Yield a subscription that gets every version from *from_version* on, earlier ones included.
        """
        if self._ended:
            raise stopping()
        if self._count >= self._max_watchers:
            raise ResourceExhausted("too many WatchOrder streams", reason="TOO_MANY_WATCHERS", retry_after_s=5)
        subscription = Subscription(from_version)
        self._by_order.setdefault(order_id, set()).add(subscription)
        self._count += 1
        WATCHERS.set(self._count)
        self._mark(order_id)
        try:
            yield subscription
        finally:
            self._count -= 1
            WATCHERS.set(self._count)
            self._by_order[order_id].discard(subscription)
            if not self._by_order[order_id]:
                del self._by_order[order_id]

    def end(self) -> None:
        """
        End every stream, because this replica stops.
        """
        self._ended = True
        for subscription in [each for some in self._by_order.values() for each in some]:
            subscription.end(stopping())

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
            await asyncio.sleep(RESTART_S)

    async def _serve(self, line: ChangeLine) -> None:
        while True:
            if not await self._notified_in_time():
                # No notification: read every watched order in one query, and probe the connection.
                await line.probe()
                self._changed |= self._by_order.keys()
            self._some.clear()
            changed, self._changed = self._changed, set()
            await self._hand_out(changed)

    async def _notified_in_time(self) -> bool:
        try:
            async with asyncio.timeout(POLL_S):
                return await self._some.wait()
        except TimeoutError:
            return False

    def _notified(self, payload: str) -> None:
        for word in payload.split(","):
            order_id = uuid.UUID(word)
            if order_id in self._by_order:
                self._mark(order_id)

    def _mark(self, order_id: uuid.UUID) -> None:
        self._changed.add(order_id)
        self._some.set()

    async def _hand_out(self, changed: set[uuid.UUID]) -> None:
        since = {
            order_id: min(subscription.next_version for subscription in self._by_order[order_id])
            for order_id in changed
            if order_id in self._by_order
        }
        if not since:
            return
        try:
            versions = await self._history.history(since)
        except Unavailable:
            self._changed |= changed
            raise
        for order_id, version, snapshot in versions:
            for subscription in tuple(self._by_order.get(order_id, ())):
                subscription.put(version, snapshot)


def stopping() -> Unavailable:
    """
    Return the error that ends every stream when this replica stops.
    """
    return Unavailable("this replica stops; watch again from the last version", retry_after_s=1)


@dataclass(frozen=True)
class End:
    """The end of a long stream, on the loop's clock, and its error."""

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


async def events(subscription: Subscription, heartbeat_s: float, end: End) -> AsyncIterator[Version | None]:
    """
    Yield the watched order's versions, and None whenever *heartbeat_s* pass without one, until *end*, which it raises.
    """
    loop = asyncio.get_running_loop()
    while (left := end.at - loop.time()) > 0:
        event = await subscription.get(min(heartbeat_s, left))
        if event is not None or left > heartbeat_s:
            yield event
    raise end.error
