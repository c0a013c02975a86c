"""Consuming while a call into librdkafka hangs."""

import asyncio
import gc
import weakref

import pytest

from runtime.errors import Unavailable
from runtime.messaging import consumer as consuming
from runtime.messaging import topic_ids
from runtime.messaging.cluster import KafkaCluster
from tests.support.virtual_time import Hang

MESSAGES = ["one", "two", "three"]


class Raw:
    """A message as the library returns it."""

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
    """Returns three messages; calls named in *stuck* hang in their thread until *hang* is free; keeps *assigned*."""

    stuck: frozenset = frozenset()
    assigned: tuple = ()

    def __init__(self, settings, executor):
        self.executor = executor
        self.hang = Hang()
        self.handed_over = 0
        self.calls = []
        type(self).last = self

    async def _call(self, name, result=None):
        self.calls.append(name)
        if name in self.stuck:
            await asyncio.get_running_loop().run_in_executor(self.executor, self.hang.wait)
        return result

    async def subscribe(self, topics, on_assign):
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
        return await self._call("assignment", [*self.assigned])

    async def close(self):
        await self._call("close")


class Ids:
    """What Kafka tells of the topics' ids, one look after the other: a hanging one (None), then always the last."""

    def __init__(self):
        self.looks = [{"t": "a"}]

    async def __call__(self):
        told = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if told is None:
            await asyncio.Event().wait()
        return told


@pytest.fixture
def ids(monkeypatch):
    told = Ids()
    monkeypatch.setattr(consuming, "asking", lambda kafka, topics: told)
    monkeypatch.setattr(topic_ids, "LOOK_S", 0.005)
    return told


@pytest.fixture
def consumer(monkeypatch, ids):
    kind = type("Stuck", (Consumer,), {})
    monkeypatch.setattr(consuming, "AIOConsumer", kind)
    monkeypatch.setattr(consuming, "_left_open", [])
    for name in ("COMMIT_S", "LEAVE_S", "RESTART_S"):
        monkeypatch.setattr(consuming, name, 0.1)
    yield kind
    if hasattr(kind, "last"):
        kind.last.hang.free.set()


async def start(handled):
    async def handle(messages):
        handled.extend(message.value.decode() for message in messages)

    return asyncio.create_task(
        consuming.consume(
            KafkaCluster("127.0.0.1:1"), group="g", topics=["t"], handle=handle, client_id="c", poll_s=0.05
        )
    )


async def until(reached):
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.02)


async def cancel(task):
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=3)
    assert done, "the consumer did not end"


async def test_a_stopped_consumer_returns_its_partitions_before_it_closes(consumer):
    handled = []
    task = await start(handled)
    await asyncio.sleep(0.2)
    await cancel(task)
    assert handled == MESSAGES
    assert consumer.last.calls[-3:] == ["unsubscribe", "assignment", "close"]
    assert consuming.stuck_threads(wait_s=1) == []
    assert consuming.left_open() == []


async def test_a_topic_made_again_is_counted_and_the_group_joined_anew(consumer, ids):
    ids.looks = [{"t": "a"}, {"t": "b"}]
    before = consuming.RECREATED.labels("g")._value.get()
    handled = []
    task = await start(handled)
    await until(lambda: len(handled) == 1 + len(MESSAGES))
    await cancel(task)
    assert handled == [MESSAGES[0], *MESSAGES]
    assert consuming.RECREATED.labels("g")._value.get() == before + 1


async def test_messages_are_handled_while_kafka_does_not_answer_about_ids(consumer, ids):
    ids.looks = [{"t": "a"}, None, None]
    handled = []
    task = await start(handled)
    await until(lambda: handled == MESSAGES)
    assert len(ids.looks) == 1
    await cancel(task)


async def test_a_hanging_commit_blocks_neither_the_next_messages_nor_the_stop(consumer):
    consumer.stuck = {"commit"}
    handled = []
    task = await start(handled)
    await asyncio.sleep(0.6)
    assert handled == MESSAGES
    await cancel(task)


async def test_a_hanging_close_is_abandoned_and_its_thread_reported(consumer):
    consumer.stuck = {"close"}
    task = await start([])
    await asyncio.sleep(0.1)
    await cancel(task)
    assert consuming.stuck_threads(wait_s=0)
    consumer.last.hang.free.set()
    assert consuming.stuck_threads(wait_s=1) == []
    assert consuming.left_open() == ["g"]


async def test_at_the_end_a_consumer_that_keeps_its_partitions_is_not_destroyed(consumer):
    """The library's destructor never returns then, and would hold up the end of the process."""
    consumer.assigned = ("kept",)
    task = await start([])
    await asyncio.sleep(0.1)
    await cancel(task)
    left = weakref.ref(consumer.last)
    del consumer.last, task
    gc.collect()
    assert consuming.left_open() == ["g"]
    assert left() is not None


async def test_a_consumer_that_could_not_be_closed_is_released_before_a_restart(consumer):
    """It would keep its partitions, and the next member of this process would get none."""
    consumer.consume = lambda self, count, timeout_s: asyncio.sleep(0, [Raw("of a kind that fails the session")])
    consumer.assigned = ("kept",)
    task = await start([])
    await asyncio.sleep(0.1)
    left = weakref.ref(consumer.last)
    await until(lambda: left() is None or consumer.last is not left())
    await asyncio.sleep(0.5)
    gc.collect()
    assert left() is None
    assert consuming.left_open() == []
    await cancel(task)


async def test_a_hanging_consume_is_restarted(consumer):
    consumer.stuck = {"consume"}
    handled = []
    task = await start(handled)
    await asyncio.sleep(0.05)
    first = consumer.last
    await until(lambda: consumer.last is not first)
    consumer.stuck = frozenset()
    await until(lambda: handled == MESSAGES)
    first.hang.free.set()
    await cancel(task)


@pytest.mark.parametrize("error", [Unavailable("no Redis"), KeyError("a bug"), ExceptionGroup("some", [OSError()])])
async def test_a_failed_batch_is_redelivered(consumer, error):
    seen = []

    async def handle(messages):
        seen.extend(message.value.decode() for message in messages)
        if len(seen) == 1:
            raise error

    task = asyncio.create_task(
        consuming.consume(
            KafkaCluster("127.0.0.1:1"), group="g", topics=["t"], handle=handle, client_id="c", poll_s=0.05
        )
    )
    await until(lambda: len(seen) == 4)
    # The fake starts at its first message when the group is joined again.
    assert seen == [MESSAGES[0], *MESSAGES]
    await cancel(task)
    assert task.cancelled()


async def test_an_error_while_stopping_does_not_prevent_the_stop(consumer, monkeypatch):
    task = await start([])

    async def fail(*_):
        raise KeyError("in the midst of leaving")

    await asyncio.sleep(0.1)
    monkeypatch.setattr(consuming, "_leave", fail)
    await cancel(task)
    assert task.cancelled()
