"""
Time of unit tests: a sleep of the event loop costs nothing, and a sleep of a thread is a failure.

While a `VirtualTimeLoop` runs, the standard library's clocks show its time, which moves only when nothing is left to
run: then at once to the next timer. It moves with the machine's clock while something outside of the loop is at work:
a socket, a child process, a function in a thread. That is a real wait, and no test may sleep in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any
from unittest import mock

MONOTONIC, WALL, SLEEP, ASYNC_SLEEP = time.monotonic, time.time, time.sleep, asyncio.sleep
TESTS = f"{__file__.rpartition('/support/')[0]}/"
MAX_TURNS = 2_000_000
"""Of one loop without a wait for the outside; more of them are retries without end."""
TURN_S = 1e-5
"""What a turn of the loop takes: retries without a pause come to their limit."""
WAITS_FOR_PROCESSES = "subprocess"
"""The module that polls with sleeps of a millisecond for the end of a child."""


class Endless(AssertionError):
    """The loop has had more turns than any test needs."""


class RealSleep(AssertionError):
    """A unit test would sleep: pass in a clock, or wait for the event itself."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop with sockets, threads and child processes, whose timers cost nothing while it uses none of them."""

    def __init__(self) -> None:
        self._now = MONOTONIC()
        self._wall_offset = WALL() - self._now
        self._turns = 0
        self._in_threads = 0
        self._children: list[asyncio.SubprocessTransport] = []
        super().__init__(_Selector(self))
        self._own_sockets = len(self._selector.get_map())

    def time(self) -> float:
        """
        Return the loop's time in seconds.
        """
        return self._now

    def wall(self) -> float:
        """
        Return the loop's time in seconds since 1970.
        """
        return self._now + self._wall_offset

    def run_forever(self) -> None:
        """
        Run until stopped; time that passed since the loop ran last has passed for it too.
        """
        self._now = max(self._now, MONOTONIC())
        super().run_forever()

    def uses_the_outside(self) -> bool:
        """
        Return whether something else than a timer may make a callback ready.
        """
        self._children = [child for child in self._children if child.get_returncode() is None]
        sockets = len(self._selector.get_map()) > self._own_sockets
        return sockets or bool(self._in_threads) or bool(self._children)

    def advance(self, seconds: float) -> None:
        """
        Move the time forward.
        """
        self._now += seconds
        self._turns += 1
        if self._turns > MAX_TURNS:
            raise Endless(f"more than {MAX_TURNS} turns")

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """
        Run *func* in a thread; until it ends, time is the machine's, except while it is in a `Hang`.
        """
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        if isinstance(getattr(func, "__self__", None), Hang):
            return future
        self._in_threads += 1
        future.add_done_callback(self._left_its_thread)
        return future

    def _left_its_thread(self, _future: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    async def _make_subprocess_transport(self, *args: Any, **options: Any) -> asyncio.SubprocessTransport:
        transport = await super()._make_subprocess_transport(*args, **options)  # type: ignore[misc]
        self._children.append(transport)
        return transport


class Hang:
    """A call into a library that hangs in its thread until *free* is set: nothing that is waited for."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def wait(self) -> None:
        """
        Return when it is free.
        """
        self.free.wait()


class _Selector(selectors.DefaultSelector):
    """Waits for the machine's sockets, or not at all."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """
        Return what is ready; if nothing is and nothing can be, *timeout* has passed at once.
        """
        if timeout is None:
            return super().select()
        if timeout <= 0:
            self._loop.advance(TURN_S)
            return super().select(0)
        if self._loop.uses_the_outside():
            began = MONOTONIC()
            ready = super().select(timeout)
            self._loop.advance(MONOTONIC() - began)
            return ready
        if not (ready := super().select(0)):
            self._loop.advance(timeout)
        return ready


class _Slept:
    """How long threads have slept at no cost, and whether they may at all: other tests of this process do."""

    seconds = 0.0
    refused = False


def _loop() -> VirtualTimeLoop | None:
    """
    Return the loop that runs in this thread, if its time is virtual.
    """
    loop = asyncio._get_running_loop()
    return loop if isinstance(loop, VirtualTimeLoop) else None


def monotonic() -> float:
    """
    Return the time of the loop that runs in this thread, or the machine's.
    """
    loop = _loop()
    return loop.time() if loop is not None else MONOTONIC() + _Slept.seconds


def wall() -> float:
    """
    Return the seconds since 1970 by the loop that runs in this thread, or by the machine.
    """
    loop = _loop()
    return loop.wall() if loop is not None else WALL() + _Slept.seconds


def refuse(seconds: float) -> None:
    """
    Raise `RealSleep` where `time.sleep` was called, unless for nothing, or by what waits for a child process.
    """
    if seconds > 0 and _Slept.refused and _caller().f_globals.get("__name__") != WAITS_FOR_PROCESSES:
        raise RealSleep(f"time.sleep({seconds})")
    SLEEP(seconds)


async def sleep(delay: float, result: Any = None) -> Any:
    """
    Sleep as `asyncio.sleep` does; raise `RealSleep` if a test asks for it while its time is the machine's.
    """
    loop = _loop()
    if delay > 0 and loop is not None and loop.uses_the_outside() and _caller().f_code.co_filename.startswith(TESTS):
        raise RealSleep(f"asyncio.sleep({delay}) beside sockets, threads or child processes")
    return await ASYNC_SLEEP(delay, result)


def _caller() -> FrameType:
    return sys._getframe(2)


@contextlib.contextmanager
def sleeps_refused() -> Iterator[None]:
    """
    Have sleeps of threads refused while the block runs.
    """
    _Slept.refused = True
    try:
        yield
    finally:
        _Slept.refused = False


@contextlib.contextmanager
def sleeps_at_no_cost() -> Iterator[None]:
    """
    Have `time.sleep` move the clocks instead of waiting: for a thread that retries what no other thread changes.
    """

    def sleep_(seconds: float) -> None:
        _Slept.seconds += seconds

    with mock.patch.object(time, "sleep", sleep_):
        try:
            yield
        finally:
            _Slept.seconds = 0.0


@contextlib.contextmanager
def clocks_of_the_loop() -> Iterator[None]:
    """
    Have the standard library's clocks show the running loop's time, and its sleeps refused where they would be real:
    an asynchronous one on such a loop, any other one within `sleeps_refused`.
    """
    with contextlib.ExitStack() as stack:
        for module, name, value in (
            (time, "monotonic", monotonic),
            (time, "perf_counter", monotonic),
            (time, "time", wall),
            (time, "time_ns", lambda: int(wall() * 1_000_000) * 1000),
            (time, "sleep", refuse),
            (asyncio, "sleep", sleep),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield
