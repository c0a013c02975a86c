"""Background tasks continue, whatever they raise."""

import asyncio
import contextlib

import pytest
import structlog

from runtime.background import FAILURES, end, keep_going


def failures(name):
    return FAILURES.labels(name)._value.get()


async def cancelled(task):
    task.cancel()
    await asyncio.wait([task], timeout=10)
    return task.done()


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), ExceptionGroup("several", [ValueError()]), None])
async def test_work_that_ends_is_restarted(fault):
    name, begun, goes_on = f"ends with {fault!r}", [], asyncio.Event()

    async def work():
        begun.append(True)
        if len(begun) == 3:
            goes_on.set()
            await asyncio.Event().wait()
        if fault:
            raise fault

    task = asyncio.create_task(keep_going(name, work, pause_s=0))
    await asyncio.wait_for(goes_on.wait(), 10)
    assert failures(name) == 2
    assert await cancelled(task)


@pytest.mark.parametrize("its_end_fails", [False, True])
async def test_cancelled_work_is_not_restarted(its_end_fails):
    name, begun, goes_on = f"is cancelled, {its_end_fails}", [], asyncio.Event()

    async def work():
        begun.append(True)
        goes_on.set()
        try:
            await asyncio.Event().wait()
        finally:
            if its_end_fails and len(begun) == 1:
                raise RuntimeError("it could not leave its group")

    task = asyncio.create_task(keep_going(name, work, pause_s=0))
    await asyncio.wait_for(goes_on.wait(), 10)
    assert await cancelled(task)
    assert (len(begun), failures(name)) == (1, 0)


async def test_stopping_does_not_wait_for_work_that_ignores_cancellation():
    let_go = asyncio.Event()

    async def deaf():
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    async def obedient():
        await asyncio.Event().wait()

    running = [asyncio.create_task(each(), name=each.__name__) for each in (deaf, obedient)]
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as logged:
        await asyncio.wait_for(end(running, within_s=0.05), 1)
    assert [task.done() for task in running] == [False, True]
    assert [each["work"] for each in logged] == [["deaf"]]
    let_go.set()
    await running[0]


async def test_stopping_without_tasks_returns_at_once():
    await asyncio.wait_for(end([]), 1)
