"""The simulation's event loop: virtual time, an order drawn from the seed, and processes that can be killed."""

import asyncio
import random
import time

import pytest

from tests.simulation.loop import Endless, Process, running
from tests.simulation.virtual import EPOCH_S, virtual


def run(seed, main):
    with running(random.Random(seed)) as loop, virtual(loop, random.Random(seed)):
        return loop.run_until_complete(main())


def test_time_is_virtual_and_every_clock_agrees():
    async def main():
        await asyncio.sleep(600)
        return asyncio.get_running_loop().time(), time.monotonic(), time.time() - EPOCH_S

    began = time.monotonic()
    assert run(1, main) == (600, 600, pytest.approx(600))
    assert time.monotonic() - began < 5


def order(seed):
    async def main():
        order = []

        async def note(number):
            for _ in range(3):
                await asyncio.sleep(0)
                order.append(number)

        await asyncio.gather(*(note(number) for number in range(5)))
        return tuple(order)

    return run(seed, main)


def test_a_seed_decides_who_runs_next():
    assert order(7) == order(7)
    assert len({order(seed) for seed in range(20)}) > 10


def test_random_values_are_determined_by_the_seed():
    async def draw():
        return random.random()

    assert run(3, draw) == run(3, draw) != run(4, draw)


def test_a_killed_process_runs_nothing_more():
    done = []

    async def work():
        try:
            await asyncio.sleep(1)
            done.append("worked")
        finally:
            done.append("cleaned up")

    async def main():
        process = Process("orders-0")
        process.start(work())
        await asyncio.sleep(0.5)
        process.die()
        await asyncio.sleep(5)
        return list(done)

    assert run(1, main) == []


def test_child_tasks_die_with_their_process():
    async def main():
        done = []

        async def child():
            await asyncio.sleep(1)
            done.append("worked")

        async def parent():
            asyncio.get_running_loop().call_later(1, done.append, "called")
            await asyncio.gather(child())

        process = Process("orders-0")
        process.start(parent())
        await asyncio.sleep(0.5)
        process.die()
        await asyncio.sleep(5)
        return done

    assert run(1, main) == []


async def forever():
    await asyncio.get_running_loop().create_future()


def test_a_deadlock_is_an_error():
    with pytest.raises(Endless):
        run(1, forever)


def test_threads_are_not_allowed():
    async def main():
        with pytest.raises(RuntimeError):
            await asyncio.to_thread(print)

    run(1, main)
