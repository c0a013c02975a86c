"""The simulation's loop: virtual time, an order that the seed decides, and processes that die."""

import asyncio
import random
import time

import pytest

from tests.simulation.loop import Endless, Process, running
from tests.simulation.virtual import EPOCH_S, virtual


def run(seed, main):
    with running(random.Random(seed)) as loop, virtual(loop, random.Random(seed)):
        return loop.run_until_complete(main())


def test_minutes_take_no_time_and_every_clock_agrees():
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


def test_chance_is_the_seeds():
    async def draw():
        return random.random()

    assert run(3, draw) == run(3, draw) != run(4, draw)


def test_a_process_that_dies_does_nothing_more():
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


def test_what_a_task_starts_dies_with_its_process():
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


def test_waiting_for_ever_is_an_error():
    with pytest.raises(Endless):
        run(1, forever)


def test_threads_are_refused():
    async def main():
        with pytest.raises(RuntimeError):
            await asyncio.to_thread(print)

    run(1, main)
