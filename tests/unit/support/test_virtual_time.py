"""Time in unit tests: what the loop waits for costs nothing, and a real sleep is a failure."""

import asyncio
import contextlib
import socket
import sys
import threading
import time

import pytest

from tests.support import virtual_time
from tests.support.virtual_time import Endless, Hang, RealSleep

PLENTY_S = 3600


def clocks():
    return asyncio.get_running_loop().time(), time.monotonic(), time.perf_counter(), time.time()


async def test_an_hour_passes_at_once_by_every_clock():
    began, before = virtual_time.MONOTONIC(), clocks()
    await asyncio.sleep(PLENTY_S)
    assert [after - earlier for after, earlier in zip(clocks(), before, strict=True)] == pytest.approx([3600] * 4)
    assert virtual_time.MONOTONIC() - began < 60


async def test_timers_run_in_their_order():
    ran = []
    for delay in (3, 1, 2):
        asyncio.get_running_loop().call_later(delay, ran.append, delay)
    await asyncio.sleep(4)
    assert ran == [1, 2, 3]


async def test_without_a_sleep_no_time_passes():
    before = clocks()
    sum(range(100_000))
    assert clocks() == before


async def test_retries_without_a_pause_reach_their_limit():
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            while True:  # noqa: ASYNC110 - this is the loop that has to end
                await asyncio.sleep(0)


async def test_retries_without_an_end_are_refused(monkeypatch):
    monkeypatch.setattr(virtual_time, "MAX_TURNS", 100)
    loop = virtual_time.VirtualTimeLoop()

    async def forever():
        while True:  # noqa: ASYNC110 - same
            await asyncio.sleep(1)

    def run():
        task = loop.create_task(forever())
        with pytest.raises(Endless):
            loop.run_until_complete(task)
        monkeypatch.undo()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    await asyncio.to_thread(run)


def test_a_sleep_of_a_thread_is_refused():
    with pytest.raises(RealSleep, match=r"time\.sleep\(0\.01\)"):
        time.sleep(0.01)
    time.sleep(0)


def test_a_thread_that_retries_may_have_its_sleeps_at_no_cost(virtual_sleep):
    before = time.monotonic(), time.time()
    time.sleep(PLENTY_S)
    assert time.monotonic() - before[0] >= PLENTY_S
    assert time.time() - before[1] >= PLENTY_S


async def test_what_runs_in_a_thread_is_waited_for():
    going_on = threading.Event()
    asyncio.get_running_loop().call_later(0.01, going_on.set)
    async with asyncio.timeout(PLENTY_S):
        assert await asyncio.to_thread(going_on.wait, 60)


async def test_a_call_that_hangs_in_its_thread_holds_no_time_up():
    hang = Hang()
    hanging = asyncio.get_running_loop().run_in_executor(None, hang.wait)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PLENTY_S):
            await asyncio.shield(hanging)
    hang.free.set()
    await hanging


async def test_a_sleep_beside_a_thread_is_refused():
    end = threading.Event()
    waiting = asyncio.create_task(asyncio.to_thread(end.wait, 60))
    await asyncio.sleep(0)
    with pytest.raises(RealSleep, match="beside sockets"):
        await asyncio.sleep(0.01)
    end.set()
    await waiting
    await asyncio.sleep(PLENTY_S)


async def test_a_sleep_beside_a_socket_is_refused():
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    with pytest.raises(RealSleep):
        await asyncio.sleep(0.01)
    theirs.send(b"an answer\n")
    async with asyncio.timeout(PLENTY_S):
        assert await reader.readline() == b"an answer\n"
    writer.close()
    theirs.close()


async def test_a_child_process_is_waited_for():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    async with asyncio.timeout(PLENTY_S):
        assert await child.wait() == 0
