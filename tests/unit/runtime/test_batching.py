"""Group commit."""

import asyncio

import pytest

from runtime.batching import IDLE_TURNS, MAX_TURNS, Batcher
from runtime.errors import NotFound, ResourceExhausted


class Work:
    """Records its batches; each waits for `go`."""

    def __init__(self):
        self.batches = []
        self.go = asyncio.Event()

    async def __call__(self, items):
        self.batches.append(list(items))
        await self.go.wait()
        return [item * 10 for item in items]


async def test_items_that_arrive_during_a_batch_share_the_next():
    work = Work()
    batcher = Batcher(work, name="work")
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(batcher.submit(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0.01)
    work.go.set()
    assert await asyncio.gather(first, *others) == [10, 20, 30, 40]
    assert work.batches == [[1], [2, 3, 4]]


async def turns(number):
    for _ in range(number):
        await asyncio.sleep(0)


async def arrive_in_turns(batcher, number, *, apart):
    """Submit *number* items, each some turns of the event loop after the previous one."""
    tasks = []
    for item in range(number):
        tasks.append(asyncio.create_task(batcher.submit(item)))
        await turns(apart)
    return tasks


async def test_items_that_arrive_within_some_loop_turns_join_the_batch():
    work = Work()
    work.go.set()
    batcher = Batcher(work, name="work")
    await asyncio.gather(*await arrive_in_turns(batcher, 5, apart=IDLE_TURNS - 2))
    assert work.batches == [[0, 1, 2, 3, 4]]


async def test_items_that_arrive_within_some_loop_turns_join_the_batch_after_the_one_in_flight():
    work = Work()
    batcher = Batcher(work, name="work")
    first = asyncio.create_task(batcher.submit(10))
    await turns(IDLE_TURNS + 3)
    assert work.batches == [[10]]
    second = asyncio.create_task(batcher.submit(11))
    await turns(2)
    work.go.set()
    await asyncio.gather(first, second, *await arrive_in_turns(batcher, 3, apart=IDLE_TURNS - 2))
    assert work.batches == [[10], [11, 0, 1, 2]]


async def test_a_single_item_waits_for_some_loop_turns_only():
    work = Work()
    batcher = Batcher(work, name="work")
    alone = asyncio.create_task(batcher.submit(1))
    await turns(IDLE_TURNS + 3)
    assert work.batches == [[1]]
    work.go.set()
    assert await alone == 10


async def test_a_steady_stream_of_items_does_not_delay_a_batch():
    work = Work()
    work.go.set()
    batcher = Batcher(work, name="work")
    tasks = await arrive_in_turns(batcher, MAX_TURNS, apart=2)
    assert work.batches
    assert len(work.batches[0]) < MAX_TURNS
    await asyncio.gather(*tasks)


async def test_a_full_batch_starts_at_once():
    work = Work()
    batcher = Batcher(work, name="work", max_batch=3)
    tasks = await arrive_in_turns(batcher, 3, apart=1)
    await turns(3)
    assert work.batches == [[0, 1, 2]]
    work.go.set()
    await asyncio.gather(*tasks)


async def test_a_batch_has_a_limit():
    work = Work()
    work.go.set()
    batcher = Batcher(work, name="work", max_batch=2)
    await asyncio.gather(*(batcher.submit(n) for n in range(5)))
    assert [len(batch) for batch in work.batches] == [2, 2, 1]


async def test_one_failing_item_does_not_fail_its_neighbours():
    async def work(items):
        return [NotFound("no") if item == 2 else item for item in items]

    batcher = Batcher(work, name="work")
    results = await asyncio.gather(*(batcher.submit(n) for n in (1, 2, 3)), return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], NotFound)
    assert results[2] == 3


async def test_an_exception_fails_its_batch_and_the_next_one_runs():
    async def work(items):
        if items == [1]:
            raise OSError("gone")
        return items

    batcher = Batcher(work, name="work")
    with pytest.raises(OSError, match="gone"):
        await batcher.submit(1)
    assert await batcher.submit(2) == 2


async def test_a_full_queue_rejects_at_once():
    work = Work()
    batcher = Batcher(work, name="work", max_queued=1)
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0.01)
    with pytest.raises(ResourceExhausted):
        await batcher.submit(3)
    work.go.set()
    assert await asyncio.gather(first, second) == [10, 20]


async def test_a_cancelled_item_is_not_processed():
    work = Work()
    batcher = Batcher(work, name="work")
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    gone = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0)
    work.go.set()
    await first
    assert await batcher.submit(3) == 30
    assert work.batches == [[1], [3]]


async def test_a_caller_cancelled_during_its_batch_does_not_affect_the_others():
    work = Work()
    batcher = Batcher(work, name="work")
    tasks = [asyncio.create_task(batcher.submit(n)) for n in (1, 2)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    work.go.set()
    assert await tasks[1] == 20
