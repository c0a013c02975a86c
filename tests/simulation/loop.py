"""
An event loop whose time is virtual, and whose next step a seed decides.

Nothing waits: when nothing is ready, the clock moves to the next timer. Of what is ready one callback is drawn, so
that tasks meet in orders that a real machine shows once in a million runs. A callback belongs to the process whose
code made it; those of a dead process never run again, just as after `kill -9`: no `finally`, no last message.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

MAX_STEPS = 3_000_000
"""Of one run; more of them are a loop without end."""
FIRST_IN_FIRST_OUT = 0.3
"""Of all seeds, those that leave ready callbacks in their order, as a real loop does."""

MIN_KEPT = 5000


class Process:
    """One run of a program: what it starts belongs to it, and ends with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.skew_s = 0.0
        self.on_death: list[Callable[[], None]] = []
        self.held: list[asyncio.Handle] | None = None
        """What would run if it were not stopped; None while it goes on."""

    def __repr__(self) -> str:
        return self.name

    def start(self, work: Coroutine[Any, Any, Any], *, name: str = "") -> asyncio.Task[Any]:
        """
        Run *work* as a task of this process.
        """
        context = contextvars.copy_context()
        context.run(PROCESS.set, self)
        return asyncio.get_running_loop().create_task(work, name=f"{self.name} {name}", context=context)

    def die(self) -> None:
        """
        End at once, as `kill -9` does; what holds connections to it hears so.
        """
        self.alive = False
        heard, self.on_death = self.on_death, []
        for hear in heard:
            hear()

    def freeze(self) -> None:
        """
        Stop, as SIGSTOP does: what is sent to it waits.
        """
        self.held = self.held or []

    def thaw(self) -> None:
        """
        Go on where it was.
        """
        held, self.held = self.held or [], None
        if held:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Loop)
            loop.put_back(held)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Endless(Exception):
    """The run does not end: nothing is ready and no timer is set, or there were too many steps."""


class Loop(asyncio.BaseEventLoop):
    """*rng* draws which of the ready callbacks runs next."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._now = 0.0
        self._rng = rng
        self._in_order = rng.random() < FIRST_IN_FIRST_OUT
        self._ready: list[asyncio.Handle] = []  # type: ignore[assignment]
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_made = 0
        self.steps = 0
        self.after_step: Callable[[], None] | None = None
        self.created: list[asyncio.Task[Any]] = []
        self._most_kept = MIN_KEPT
        self.set_task_factory(self._make_task)

    def _make_task(self, loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
        # Kept: what a dead process left must not be collected, and so run its `finally`, in the midst of a run.
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        self.created.append(task)
        if len(self.created) > self._most_kept:
            self.created = [each for each in self.created if not each.done()]
            self._most_kept = max(MIN_KEPT, 2 * len(self.created))
        return task

    def time(self) -> float:
        """
        Return the virtual seconds since the loop was made.
        """
        return self._now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """
        Have *callback* called at *when*; of several for one moment the first comes first, until one is drawn.
        """
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        return timer

    def _run_once(self) -> None:
        """
        Run one callback, of those that are ready now.
        """
        self._wake_timers()
        while not self._ready:
            if not self._timers:
                raise Endless("nothing is ready, and no timer is set")
            self._now = max(self._now, self._timers[0][0])
            self._wake_timers()
        last = len(self._ready) - 1
        handle = self._ready.pop(0 if self._in_order or not last else int(self._rng.random() * (last + 1)))
        if handle._cancelled or self._kept_from(handle):  # type: ignore[attr-defined]
            return
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Endless(f"more than {MAX_STEPS} steps")
        handle._run()
        if self.after_step is not None:
            self.after_step()

    @staticmethod
    def _kept_from(handle: asyncio.Handle) -> bool:
        """
        Return whether the process of *handle* is dead, or stopped: then it gets it later.
        """
        process = handle._context.get(PROCESS)
        if process is None:
            return False
        if process.alive and process.held is not None:
            process.held.append(handle)
            return True
        return not process.alive

    def put_back(self, handles: list[asyncio.Handle]) -> None:
        """
        Have *handles* run, as if they had become ready now.
        """
        self._ready.extend(handles)

    def _wake_timers(self) -> None:
        timers = self._timers
        while timers and (timers[0][0] <= self._now or timers[0][2]._cancelled):  # type: ignore[attr-defined]
            timer = heapq.heappop(timers)[2]
            if not timer._cancelled:  # type: ignore[attr-defined]
                self._ready.append(timer)

    def end_all(self) -> None:
        """
        Close every coroutine that is left; what it does on its way out reaches nobody.
        """
        self.after_step = None
        logging.disable(logging.CRITICAL)
        try:
            for task in self.created:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task)
            self.created.clear()
        finally:
            logging.disable(logging.NOTSET)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def _process_events(self, event_list: Any) -> None:
        """There is no input and no output."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """
        Refuse: a thread runs at a time of its own.
        """
        raise RuntimeError(f"{func} would run in a thread, which no seed decides about")


@contextlib.contextmanager
def running(rng: random.Random) -> Iterator[Loop]:
    """
    Yield a loop; what is left of its tasks ends silently with it.
    """
    loop = Loop(rng)
    loop.set_exception_handler(lambda _, __: None)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.end_all()
        asyncio.set_event_loop(None)
        loop.close()


def _close(task: asyncio.Task[Any]) -> None:
    """
    End the coroutine of *task* here; whatever it does on its way out reaches nobody any more.
    """
    if not task.done():
        with contextlib.suppress(BaseException):
            coroutine: Any = task.get_coro()
            coroutine.close()
