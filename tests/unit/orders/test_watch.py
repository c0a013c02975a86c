"""Watching: every version from one on, in order, once; bounded."""

import asyncio
import uuid
from contextlib import ExitStack

import pytest

from orders_svc.changes import ChangeFeed
from orders_svc.watch import MAX_QUEUED, POLL_S, End, Subscription, Subscriptions, events
from runtime.errors import Aborted, Error, ResourceExhausted, Unavailable


class History:
    def __init__(self):
        self.versions = {}
        self.reads = 0
        self.down = False

    async def history(self, since):
        if self.down:
            raise Unavailable("the database is away")
        self.reads += 1
        return [
            (order, version, b"%d" % version)
            for order, first in since.items()
            for version in range(first, self.versions.get(order, 0) + 1)
        ]


class Session:
    """The listening connection: receives what the test sends."""

    def __init__(self):
        self.listener = None

    async def add_listener(self, _, listener):
        self.listener = listener

    async def remove_listener(self, *_):
        self.listener = None

    async def fetchval(self, _):
        return 1

    def terminate(self):
        self.ended = True


class Pool:
    def __init__(self):
        self.session = Session()

    def acquire(self, timeout):
        return self

    async def __aenter__(self):
        return self.session

    async def __aexit__(self, *_):
        return None

    def notify(self, *orders):
        self.session.listener(None, 0, "c", ",".join(map(str, orders)))


@pytest.fixture
def history():
    return History()


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
async def subscriptions(pool, history):
    subscriptions = Subscriptions(ChangeFeed(pool, channel="c"), history, max_watchers=3)
    task = asyncio.create_task(subscriptions.run())
    await asyncio.sleep(0.01)
    yield subscriptions
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def versions(subscription, count):
    return [(await subscription.get(1))[0] for _ in range(count)]


async def test_a_watcher_gets_past_and_new_versions(subscriptions, history, pool):
    order = uuid.uuid4()
    history.versions[order] = 2
    with subscriptions.watch(order, 1) as subscription:
        assert await versions(subscription, 2) == [1, 2]
        history.versions[order] = 4
        pool.notify(order)
        assert await versions(subscription, 2) == [3, 4]
        pool.notify(order)
        assert await subscription.get(0.05) is None


async def test_a_change_whose_notification_was_lost_is_found_within_seconds(subscriptions, history):
    order = uuid.uuid4()
    with subscriptions.watch(order, 1) as subscription:
        assert await subscription.get(1) is None
        reads = history.reads
        history.versions[order] = 1
        assert (await subscription.get(POLL_S + 1))[0] == 1
        assert history.reads == reads + 1
        await asyncio.sleep(3 * POLL_S + 1)
        assert history.reads == reads + 4


async def test_a_change_is_found_after_the_database_was_away(subscriptions, history, pool):
    order = uuid.uuid4()
    with subscriptions.watch(order, 1) as subscription:
        await subscription.get(0.1)
        history.down = True
        history.versions[order] = 1
        pool.notify(order)
        assert await subscription.get(3 * POLL_S) is None
        history.down = False
        assert (await subscription.get(POLL_S))[0] == 1


async def test_each_watcher_starts_at_its_version(subscriptions, history):
    order = uuid.uuid4()
    history.versions[order] = 3
    with subscriptions.watch(order, 1) as first, subscriptions.watch(order, 3) as second:
        assert await versions(first, 3) == [1, 2, 3]
        assert await versions(second, 1) == [3]
        assert await second.get(0.05) is None


async def test_a_change_is_read_once_for_all_watchers(subscriptions, history, pool):
    order = uuid.uuid4()
    history.versions[order] = 1
    with subscriptions.watch(order, 1) as a, subscriptions.watch(order, 1) as b, subscriptions.watch(order, 1) as c:
        for subscription in (a, b, c):
            await versions(subscription, 1)
        reads = history.reads
        history.versions[order] = 2
        pool.notify(order)
        for subscription in (a, b, c):
            assert await versions(subscription, 1) == [2]
        assert history.reads == reads + 1


async def test_changes_of_unwatched_orders_are_not_read(subscriptions, history, pool):
    pool.notify(*(uuid.uuid4() for _ in range(50)))
    await asyncio.sleep(0.02)
    assert history.reads == 0


async def test_watchers_are_limited(subscriptions):
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(subscriptions.watch(uuid.uuid4(), 1))
        with pytest.raises(ResourceExhausted):
            stack.enter_context(subscriptions.watch(uuid.uuid4(), 1))
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(subscriptions.watch(uuid.uuid4(), 1))
        with subscriptions.watch(uuid.uuid4(), 1):
            pass
        stack.enter_context(subscriptions.watch(uuid.uuid4(), 1))
        with pytest.raises(ResourceExhausted):
            stack.enter_context(subscriptions.watch(uuid.uuid4(), 1))


@pytest.mark.parametrize(
    ("token_left_s", "reason", "beats_at"),
    [(None, "WATCH_ENDED", [10, 20]), (20, "TOKEN_EXPIRED", [10]), (25, "WATCH_ENDED", [10, 20])],
)
async def test_a_stream_beats_until_its_end(token_left_s, reason, beats_at):
    loop = asyncio.get_running_loop()
    began, beats = loop.time(), []

    async def read():
        async for event in events(Subscription(1), 10, End.of(25, token_left_s)):
            assert event is None
            beats.append(round(loop.time() - began))

    with pytest.raises(Error) as ended:
        await read()
    assert ended.value.reason == reason
    assert beats == beats_at
    assert loop.time() - began == pytest.approx(token_left_s or 25, abs=0.1)


async def test_a_stopping_replica_ends_its_streams_and_accepts_no_more(subscriptions):
    with subscriptions.watch(uuid.uuid4(), 1) as subscription:
        subscriptions.end()
        with pytest.raises(Unavailable):
            await subscription.get(1)
    with pytest.raises(Unavailable), subscriptions.watch(uuid.uuid4(), 1):
        pass


async def test_a_slow_watcher_is_disconnected():
    subscription = Subscription(1)
    for version in range(1, MAX_QUEUED + 3):
        subscription.put(version, b"")
    for _ in range(MAX_QUEUED - 1):
        await subscription.get(1)
    with pytest.raises(Aborted) as cut:
        await subscription.get(1)
    assert cut.value.reason == "SLOW_WATCHER"


@pytest.mark.parametrize(
    ("error", "message"), [(OSError("connection reset"), "connection reset"), (TimeoutError(), "TimeoutError")]
)
async def test_a_lost_connection_ends_the_notifications_and_says_why(pool, error, message):
    async def fail(_):
        raise error

    pool.session.fetchval = fail
    with pytest.raises(Unavailable) as raised:
        async with ChangeFeed(pool, channel="c").listen(print) as line:
            await line.probe()
    assert (raised.value.message, raised.value.reason) == (message, "DATABASE_UNAVAILABLE")
