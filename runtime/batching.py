"""
Group commit: items that arrive while one batch is in flight share the next.

There is no timer, so an idle system adds no wait. On a busy one ready callbacks run first: calls that are about to
arrive join the batch, where each of them would have made its own a moment later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from opentelemetry import context
from opentelemetry.context import Context

from runtime import spans
from runtime.errors import ResourceExhausted

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]
IDLE_TURNS = 16
"""Turns of the event loop without a new item after which the batch is complete."""
MAX_TURNS = 200
"""The number of items at which a batch is sent immediately."""


class Batcher(Generic[Item, Result]):
    """
    Passes items to *work* in batches of at most *max_batch*, one batch in flight at a time.

    *work* returns a result or an exception for each item, in their order; if it raises, every item of its batch gets
    that. At most *max_queued* items wait; more are rejected with `ResourceExhausted`. Each batch is a span *name* in
    the callers' traces.
    """

    def __init__(self, work: Work[Item, Result], *, name: str, max_batch: int = 256, max_queued: int = 4096) -> None:
        self._work = work
        self._name = name
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._waiting: deque[tuple[Item, asyncio.Future[Result], Context]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """
        Return what *work* returned for *item*, or raise what it raised.

        If the caller is cancelled before its batch starts, the item is skipped.
        """
        if len(self._waiting) >= self._max_queued:
            raise ResourceExhausted("too many requests are queued", reason="QUEUE_FULL", retry_after_s=1)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future, context.get_current()))
        self._start()
        return await future

    @property
    def waiting(self) -> int:
        """Return the number of items that wait for a batch."""
        return len(self._waiting)

    def pass_waiting_to(self, other: Batcher[Item, Result]) -> None:
        """
        Let *other* process the items that wait here, behind a batch that takes long.
        """
        if self._waiting:
            other._waiting.extend(self._waiting)
            self._waiting.clear()
            other._start()

    def _start(self) -> None:
        if self._running is None:
            self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                if batch := self._take():
                    await self._process(batch)
        finally:
            self._running = None

    async def _gather(self) -> None:
        """
        Yield to the event loop while that adds items and the batch is not full.
        """
        seen, idle = 0, 0
        for _ in range(MAX_TURNS):
            if idle == IDLE_TURNS or len(self._waiting) >= self._max_batch:
                return
            await asyncio.sleep(0)
            idle = idle + 1 if len(self._waiting) == seen else 0
            seen = len(self._waiting)

    def _take(self) -> list[tuple[Item, asyncio.Future[Result], Context]]:
        batch: list[tuple[Item, asyncio.Future[Result], Context]] = []
        while self._waiting and len(batch) < self._max_batch:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    async def _process(self, batch: list[tuple[Item, asyncio.Future[Result], Context]]) -> None:
        try:
            with spans.together(self._name, [caller for _, _, caller in batch]):
                results = await self._work([item for item, _, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} items, but {len(results)} results")
        except Exception as error:
            results = [error] * len(batch)
        for (_, future, _), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
