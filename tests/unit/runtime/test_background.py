"""Work beside the calls goes on, whatever it raises."""

import asyncio

import pytest

from runtime.background import FAILURES, keep_going


def failures(name):
    return FAILURES.labels(name)._value.get()


async def cancelled(task):
    task.cancel()
    await asyncio.wait([task], timeout=1)
    return task.done()


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), ExceptionGroup("several", [ValueError()]), None])
async def test_work_that_ends_by_itself_is_begun_anew(fault):
    name, begun, goes_on = f"ends with {fault!r}", [], asyncio.Event()

    async def work():
        begun.append(True)
        if len(begun) == 3:
            goes_on.set()
            await asyncio.Event().wait()
        if fault:
            raise fault

    task = asyncio.create_task(keep_going(name, work, pause_s=0))
    await asyncio.wait_for(goes_on.wait(), 1)
    assert failures(name) == 2
    assert await cancelled(task)


@pytest.mark.parametrize("its_end_fails", [False, True])
async def test_work_that_is_cancelled_is_not_begun_anew(its_end_fails):
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
    await asyncio.wait_for(goes_on.wait(), 1)
    assert await cancelled(task)
    assert (len(begun), failures(name)) == (1, 0)
