"""The backlog: for operators, who share measurements, and for the metrics."""

import asyncio

import pytest

from orders_svc import backlog, saga
from orders_svc.backlog import Backlog, BacklogMonitor
from orders_svc.dead_letters import GROUP, SOURCES
from orders_svc.operations_ports import PendingNow, WaitingNow
from orders_svc.order import State

PATH = saga.stages([5])
RETRIES = [stage.topic for stage in PATH]
DEAD = list(SOURCES)


class Waits:
    def __init__(self):
        self.looks = 0

    async def waiting(self):
        self.looks += 1
        return WaitingNow({State.PENDING: self.looks}, PendingNow(self.looks, 4.5), 7, 1.5, 2)

    async def pending_now(self):
        return PendingNow(3, 4.5)


class Lags:
    def __init__(self):
        self.topics = None

    async def of(self, topics):
        self.topics = dict(topics)
        return {topic: 10 + number for number, topic in enumerate([*RETRIES, DEAD[0]])}


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def lags():
    return Lags()


@pytest.fixture
def monitor(waits, lags):
    return BacklogMonitor(waits, lags, PATH)


async def test_the_backlog_lists_everything_by_topic(monitor, lags):
    topics = {topic: 10 + number for number, topic in enumerate(RETRIES)}
    # A topic without a known lag has no backlog.
    dead = dict.fromkeys(DEAD, 0) | {DEAD[0]: 10 + len(RETRIES)}
    assert await monitor.look() == Backlog({State.PENDING: 1}, 4.5, 7, 1.5, 2, topics, dead)
    assert lags.topics == {stage.topic: saga.group_of(stage) for stage in PATH} | dict.fromkeys(DEAD, GROUP)


async def test_concurrent_requests_share_one_measurement(monitor, waits):
    found = await asyncio.gather(*(monitor.look() for _ in range(5)))
    assert waits.looks == 1
    assert all(each == found[0] for each in found)


async def test_an_expired_measurement_is_not_reused(monitor, waits, monkeypatch):
    await monitor.look()
    monkeypatch.setattr(backlog, "FRESH_S", -1)
    assert (await monitor.look()).states == {State.PENDING: 2}


async def test_the_metrics_are_those_of_the_last_measurement(monitor):
    await monitor.measure()
    assert (backlog.PENDING._value.get(), backlog.OLDEST._value.get()) == (3, 4.5)
    assert [backlog.LAG.labels(topic)._value.get() for topic in RETRIES] == [10 + n for n in range(len(RETRIES))]
    assert backlog.DEAD_LETTERS.labels(DEAD[0])._value.get() == 10 + len(RETRIES)
