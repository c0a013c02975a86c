"""The outbox relay: at least once, in order per key, several relays, under every failure."""

import asyncio
import time
import uuid
from collections import defaultdict

import pytest

from runtime.errors import InvalidArgument, Unavailable
from runtime.messaging import outbox
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.message import Record
from runtime.messaging.outbox import CHANNEL, SHARDS
from runtime.messaging.outbox_backlog import REDRIVE
from runtime.messaging.publisher import Publisher
from runtime.messaging.reader import read_to_end
from runtime.messaging.relay import Relay, waves
from runtime.messaging.topics import Topic, ensure_topics
from runtime.notifier import Notifier
from tests.components.conftest import execute

# Long enough for a Kafka that starts slowly.


class Broker:
    """Kafka as the relay uses it, with faults on demand."""

    def __init__(self):
        self.records = []
        self.down = False
        self.bad = set()
        self.flaky = lambda record: False
        self.delay_s = 0.0

    async def publish_each(self, records):
        await asyncio.sleep(self.delay_s)
        return [self._take(record) for record in records]

    def _take(self, record):
        if record.value in self.bad:
            return InvalidArgument("too large", reason="RECORD_REFUSED")
        if self.down or self.flaky(record):
            return Unavailable("no Kafka", reason="KAFKA_UNAVAILABLE")
        self.records.append(record)
        return None

    def by_key(self):
        found = defaultdict(list)
        for record in self.records:
            found[record.key].append(int(record.value))
        return found


async def put(pool, key, value, topic="t"):
    key = key.encode() if isinstance(key, str) else key
    await outbox.put(pool, [Record(topic, key, str(value).encode(), {"traceparent": "00-x"})])


async def waiting(pool):
    return await pool.fetchval("SELECT count(*) FROM outbox WHERE refused IS NULL")


@pytest.fixture
async def run():
    """Run relays until the test ends."""
    tasks = []

    def start(work):
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield start
    ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not ended, f"a relay must go on whatever happens: {ended}"


async def emptied(pool, within_s=10):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not await waiting(pool):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{await waiting(pool)} rows are left")


async def test_rows_are_published_in_key_order_and_deleted(pool, run):
    broker = Broker()
    for n in range(60):
        await put(pool, f"k{n % 7}", n)
    run(Relay(pool, broker, poll_s=0.2).run())
    await emptied(pool)
    assert sum(len(values) for values in broker.by_key().values()) == 60
    assert all(values == sorted(values) for values in broker.by_key().values())
    assert broker.records[0].headers == {"traceparent": "00-x"}


async def test_two_relays_share_the_shards_and_publish_nothing_twice(pool, run):
    brokers = [Broker(), Broker()]
    relays = [Relay(pool, broker, poll_s=0.05) for broker in brokers]
    for relay in relays:
        run(relay.run())
    async with asyncio.timeout(10):
        while any(len(relay._shards.mine) != SHARDS // 2 for relay in relays):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    for n in range(200):
        await put(pool, f"k{n % 40}", n)
    await emptied(pool)
    published = [record.value for broker in brokers for record in broker.records]
    assert len(published) == len(set(published)) == 200
    assert all(broker.records for broker in brokers)


async def test_a_relay_takes_over_the_shards_of_one_that_died(pool, run):
    first, second = Relay(pool, Broker(), poll_s=0.1), Relay(pool, broker := Broker(), poll_s=0.1)
    task = run(first.run())
    await asyncio.sleep(0.3)
    run(second.run())
    await asyncio.sleep(0.3)
    task.cancel()
    for n in range(40):
        await put(pool, f"k{n}", n)
    await emptied(pool)
    assert broker.records


async def test_a_row_that_kafka_rejects_blocks_no_other(pool, run):
    broker = Broker()
    broker.bad = {b"1"}
    for n in range(4):
        await put(pool, "k", n)
    run(Relay(pool, broker, poll_s=0.1).run())
    await emptied(pool)
    assert broker.by_key()[b"k"] == [0, 2, 3]
    assert await pool.fetchval("SELECT refused FROM outbox") == "too large"
    broker.bad = set()
    await pool.execute(REDRIVE)
    await emptied(pool)
    assert broker.by_key()[b"k"] == [0, 2, 3, 1]


async def test_a_row_that_fails_is_not_overtaken_by_later_ones_of_its_key(pool, run):
    broker = Broker()
    failures = iter([True, True, False])
    broker.flaky = lambda record: record.value == b"1" and next(failures, False)
    for n in range(5):
        await put(pool, "k", n)
        await put(pool, f"other{n}", 100 + n)
    run(Relay(pool, broker, poll_s=0.05).run())
    await emptied(pool)
    assert broker.by_key()[b"k"] == [0, 1, 2, 3, 4]


async def test_rows_wait_while_kafka_is_down_and_are_published_after(pool, run):
    broker = Broker()
    broker.down = True
    for n in range(10):
        await put(pool, f"k{n}", n)
    run(Relay(pool, broker, poll_s=0.1).run())
    await asyncio.sleep(0.5)
    assert await waiting(pool) == 10
    broker.down = False
    await emptied(pool)
    assert len(broker.records) == 10


async def test_a_notification_wakes_the_relay_before_its_poll(pool, run):
    broker = Broker()
    notifier = Notifier(pool)
    run(Relay(pool, broker, poll_s=30).run())
    run(notifier.run())
    await asyncio.sleep(0.5)
    await put(pool, "k", 1)
    started = time.monotonic()
    notifier.notify(CHANNEL, [""])
    await emptied(pool, within_s=5)
    assert time.monotonic() - started < 1


async def test_the_relay_continues_after_a_lost_session(pool, run, postgres):
    broker = Broker()
    run(Relay(pool, broker, poll_s=0.1).run())
    await asyncio.sleep(0.3)
    await execute(postgres, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    await put(pool, "k", 1)
    await emptied(pool)


async def test_a_relay_that_dies_between_publishing_and_deleting_publishes_again(pool, run):
    broker = Broker()
    await put(pool, "k", 1)
    relay, died = Relay(pool, broker, poll_s=0.1), asyncio.Event()

    async def die(*_):
        died.set()
        raise OSError("killed here")

    settle, relay._settle = relay._settle, die
    run(relay.run())
    await asyncio.wait_for(died.wait(), 10)
    relay._settle = settle
    await emptied(pool)
    assert set(broker.by_key()[b"k"]) == {1}
    assert len(broker.records) >= 2


async def test_kafka_rejects_only_the_oversized_row(pool, run, kafka, topic):
    name = f"t-{uuid.uuid4().hex[:6]}"
    await asyncio.to_thread(ensure_topics, KafkaCluster(kafka), [Topic(name)])
    async with Publisher(KafkaCluster(kafka), client_id="test") as publisher:
        await put(pool, "k", "x" * 3_000_000, name)
        await put(pool, "k", "small", name)
        run(Relay(pool, publisher, poll_s=0.1).run())
        await emptied(pool)
        assert await pool.fetchval("SELECT count(*) FROM outbox WHERE refused IS NOT NULL") == 1
        found = await asyncio.to_thread(topic, name)
        assert [message.value for message in found] == [b"small"]
        assert found[0].headers["traceparent"] == "00-x"


def test_each_publish_round_has_one_row_per_key():
    rows = [{"id": n, "topic": "t", "key": key} for n, key in enumerate("abacab")]
    assert [[row["id"] for row in wave] for wave in waves(rows)] == [[0, 1, 3], [2, 5], [4]]


async def test_an_unavailable_topic_blocks_no_other(pool, run):
    """It has more rows than a batch, all older than the others'."""
    broker = Broker()
    broker.flaky = lambda record: record.topic == "gone"
    for n in range(1200):
        await put(pool, f"k{n}", n, "gone")
    for n in range(40):
        await put(pool, f"k{n % 7}", n)
    run(Relay(pool, broker, poll_s=0.1).run())
    async with asyncio.timeout(10):
        while len(broker.records) < 40:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    assert all(values == sorted(values) for values in broker.by_key().values())
    assert await waiting(pool) == 1200
    broker.flaky = lambda record: False
    await emptied(pool, within_s=20)
    assert len(broker.records) == 1240


async def test_a_slow_topic_blocks_no_other(pool, run):
    class Slow(Broker):
        async def publish_each(self, records):
            await asyncio.sleep(4 if records[0].topic == "slow" else 0)
            return await super().publish_each(records)

    broker = Slow()
    await put(pool, "k", 0, "slow")
    run(Relay(pool, broker, poll_s=0.1).run())
    await asyncio.sleep(0.5)
    await put(pool, "k", 1)
    async with asyncio.timeout(2):
        while not broker.records:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    assert broker.records[0].topic == "t"
    await emptied(pool)


async def test_a_missing_topic_blocks_no_other_and_catches_up_when_recreated(pool, run, kafka, suffix):
    """`pending_orders` is deleted on a real Kafka: new orders' `order_events` are published meanwhile."""
    gone, well = Topic(f"gone-{suffix}"), Topic(f"well-{suffix}")
    ensure_topics(KafkaCluster(kafka), [well])
    async with Publisher(KafkaCluster(kafka), client_id="test") as publisher:
        run(Relay(pool, publisher, poll_s=0.2).run())
        for n in range(1500):
            await put(pool, f"k{n}", n, gone.name)
        started = time.monotonic()
        await put(pool, "k", 1, well.name)

        async def left():
            return await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", well.name)

        async with asyncio.timeout(30):
            while await left():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        first = time.monotonic() - started
        for n in range(200):
            await put(pool, f"k{n}", n, well.name)
        async with asyncio.timeout(30):
            while await left():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        print(f"the first row took {first:.1f} s, 200 more {time.monotonic() - started - first:.1f} s")
        assert await waiting(pool) == 1500
        await asyncio.to_thread(ensure_topics, KafkaCluster(kafka), [gone])
        back = time.monotonic()
        await emptied(pool, within_s=40)
        print(f"1500 rows went out {time.monotonic() - back:.1f} s after their topic was back")
        assert len(await read_to_end(KafkaCluster(kafka), gone.name)) == 1500
        assert len(await read_to_end(KafkaCluster(kafka), well.name)) == 201
