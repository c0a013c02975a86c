"""Consuming when a call into Kafka's library does not return."""

import asyncio
import threading

import pytest

from runtime.errors import Unavailable
from runtime.messaging import consumer as consuming

MESSAGES = ["one", "two", "three"]


class Raw:
    """A message as the library hands it over."""

    def __init__(self, offset):
        self._offset = offset

    def error(self):
        return None

    def topic(self):
        return "t"

    def partition(self):
        return 0

    def offset(self):
        return self._offset

    def key(self):
        return b"k"

    def value(self):
        return MESSAGES[self._offset].encode()

    def headers(self):
        return []

    def timestamp(self):
        return (1, 0)


class Consumer:
    """Hands over three messages; its calls named in *stuck* wait in their thread until *free* is set."""

    stuck: frozenset = frozenset()

    def __init__(self, settings, executor):
        self.executor = executor
        self.free = threading.Event()
        self.handed_over = 0
        self.calls = []
        type(self).last = self

    async def _call(self, name, result=None):
        self.calls.append(name)
        if name in self.stuck:
            await asyncio.get_running_loop().run_in_executor(self.executor, self.free.wait)
        return result

    async def subscribe(self, topics):
        await self._call("subscribe")

    async def consume(self, count, timeout_s):
        await asyncio.sleep(0.01)
        if self.handed_over == len(MESSAGES):
            return []
        self.handed_over += 1
        return await self._call("consume", [Raw(self.handed_over - 1)])

    async def commit(self, offsets, asynchronous):
        await self._call("commit")

    async def unsubscribe(self):
        await self._call("unsubscribe")

    async def assignment(self):
        return await self._call("assignment", [])

    async def close(self):
        await self._call("close")


@pytest.fixture
def consumer(monkeypatch):
    kind = type("Stuck", (Consumer,), {})
    monkeypatch.setattr(consuming, "AIOConsumer", kind)
    for name in ("COMMIT_S", "LEAVE_S", "RESTART_S"):
        monkeypatch.setattr(consuming, name, 0.1)
    yield kind
    kind.last.free.set()


async def start(handled):
    async def handle(messages):
        handled.extend(message.value.decode() for message in messages)

    return asyncio.create_task(
        consuming.consume("127.0.0.1:1", group="g", topics=["t"], handle=handle, client_id="c", poll_s=0.05)
    )


async def until(reached):
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.02)


async def cancel(task):
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=3)
    assert done, "the consumer did not end"


async def test_a_consumer_that_is_ended_gives_its_partitions_back_before_it_closes(consumer):
    handled = []
    task = await start(handled)
    await asyncio.sleep(0.2)
    await cancel(task)
    assert handled == MESSAGES
    assert consumer.last.calls[-3:] == ["unsubscribe", "assignment", "close"]
    assert consuming.stuck_threads(wait_s=1) == []


async def test_a_commit_that_does_not_return_stops_neither_the_next_messages_nor_the_end(consumer):
    consumer.stuck = {"commit"}
    handled = []
    task = await start(handled)
    await asyncio.sleep(0.6)
    assert handled == MESSAGES
    await cancel(task)


async def test_a_close_that_does_not_return_is_not_waited_for_and_its_thread_is_told(consumer):
    consumer.stuck = {"close"}
    task = await start([])
    await asyncio.sleep(0.1)
    await cancel(task)
    assert consuming.stuck_threads(wait_s=0.05)
    consumer.last.free.set()
    assert consuming.stuck_threads(wait_s=1) == []


async def test_consuming_that_does_not_return_is_begun_anew(consumer):
    consumer.stuck = {"consume"}
    handled = []
    task = await start(handled)
    await asyncio.sleep(0.05)
    first = consumer.last
    await until(lambda: consumer.last is not first)
    consumer.stuck = frozenset()
    await until(lambda: handled == MESSAGES)
    first.free.set()
    await cancel(task)


@pytest.mark.parametrize("error", [Unavailable("no Redis"), KeyError("a bug"), ExceptionGroup("some", [OSError()])])
async def test_whatever_a_handler_raises_its_batch_comes_again(consumer, error):
    seen = []

    async def handle(messages):
        seen.extend(message.value.decode() for message in messages)
        if len(seen) == 1:
            raise error

    task = asyncio.create_task(
        consuming.consume("127.0.0.1:1", group="g", topics=["t"], handle=handle, client_id="c", poll_s=0.05)
    )
    await until(lambda: len(seen) == 4)
    # The stand-in begins at its first message when the group is joined anew.
    assert seen == [MESSAGES[0], *MESSAGES]
    await cancel(task)
    assert task.cancelled()


async def test_an_end_that_fails_on_its_way_is_the_end_all_the_same(consumer, monkeypatch):
    task = await start([])

    async def fail(*_):
        raise KeyError("in the midst of leaving")

    await asyncio.sleep(0.1)
    monkeypatch.setattr(consuming, "_leave", fail)
    await cancel(task)
    assert task.cancelled()
