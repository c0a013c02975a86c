"""A topic that is deleted and made again while a consumer runs, or while none does."""

import asyncio
import contextlib
import time
import uuid

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.messaging import consumer
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.topics import Topic, ensure_topics
from tests.support.waiting import eventually

COUNT = 5
NOTICED_S = 40


@pytest.fixture
def group():
    return f"group-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def admin(kafka):
    return AdminClient({"bootstrap.servers": kafka, "log_level": 0})


@contextlib.asynccontextmanager
async def consuming(kafka, group, topic):
    """Run a consumer; yield the values that it handled."""
    handled = []

    async def handle(messages):
        handled.extend(each.value.decode() for each in messages)

    task = asyncio.create_task(
        consumer.consume(KafkaCluster(kafka), group=group, topics=[topic], handle=handle, client_id="test")
    )
    try:
        yield handled
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def send(raw, topic, name, count=COUNT):
    values = [f"{name}-{number}" for number in range(count)]
    for value in values:
        raw.send(topic, value=value.encode(), partition=0)
    raw.flush()
    return values


async def recreate(kafka, admin, topic):
    def work():
        admin.delete_topics([topic], operation_timeout=20)[topic].result()
        for _ in range(100):
            with contextlib.suppress(KafkaException):
                if ensure_topics(KafkaCluster(kafka), [Topic(topic, partitions=1)]):
                    return
            time.sleep(0.2)

    await asyncio.to_thread(work)


async def all_of(handled, values, within_s=NOTICED_S):
    async def there():
        return set(values) <= set(handled)

    await eventually(there, within_s=within_s)


def commit(kafka, group, topic, offset, mark):
    member = Consumer({"bootstrap.servers": kafka, "group.id": group, "log_level": 0})
    try:
        member.commit(offsets=[TopicPartition(topic, 0, offset, mark)], asynchronous=False)
    finally:
        member.close()


def committed(kafka, group, topic):
    member = Consumer({"bootstrap.servers": kafka, "group.id": group, "log_level": 0})
    try:
        [place] = member.committed([TopicPartition(topic, 0)], timeout=10)
    finally:
        member.close()
    return place


def counted(group):
    return consumer.RECREATED.labels(group)._value.get()


async def seen(group):
    """Wait until the consumer has noticed: before, Kafka may have told it already that its offset is out of range."""

    async def once():
        return counted(group) == 1

    await eventually(once, within_s=NOTICED_S)


@pytest.mark.parametrize("count", [COUNT, COUNT + 3, COUNT - 2], ids=["as many", "more", "fewer"])
async def test_a_new_topic_is_read_from_its_begin_however_many_records_it_has(
    kafka, admin, raw, make_topic, group, count
):
    topic = make_topic(partitions=1)
    async with consuming(kafka, group, topic) as handled:
        await all_of(handled, send(raw, topic, "old"))
        await recreate(kafka, admin, topic)
        await all_of(handled, send(raw, topic, "new", count))
        await seen(group)
        # And on from there.
        await all_of(handled, send(raw, topic, "later"))


async def test_an_offset_of_the_topic_before_counts_for_nothing_when_a_consumer_starts(
    kafka, admin, raw, make_topic, group
):
    topic = make_topic(partitions=1)
    async with consuming(kafka, group, topic) as handled:
        await all_of(handled, send(raw, topic, "old"))
    before = await asyncio.to_thread(committed, kafka, group, topic)
    assert before.offset == COUNT
    assert before.metadata.startswith("topic-id=")
    await recreate(kafka, admin, topic)
    new = send(raw, topic, "new")
    # As a member that had not noticed committed it.
    await asyncio.to_thread(commit, kafka, group, topic, COUNT, before.metadata)
    async with consuming(kafka, group, topic) as handled:
        await all_of(handled, new)
    after = await asyncio.to_thread(committed, kafka, group, topic)
    assert (after.offset, after.metadata != before.metadata) == (COUNT, True)


async def test_such_an_offset_counts_for_nothing_either_if_kafka_does_not_tell_the_id_at_first(
    kafka, admin, raw, make_topic, group, monkeypatch
):
    topic = make_topic(partitions=1)
    async with consuming(kafka, group, topic) as handled:
        await all_of(handled, send(raw, topic, "old"))
    before = await asyncio.to_thread(committed, kafka, group, topic)
    await recreate(kafka, admin, topic)
    new = send(raw, topic, "new")
    await asyncio.to_thread(commit, kafka, group, topic, COUNT, before.metadata)
    untold = [{}]
    asking = consumer.asking

    def late(*arguments):
        ask = asking(*arguments)

        async def told():
            return untold.pop() if untold else await ask()

        return told

    monkeypatch.setattr(consumer, "asking", late)
    async with consuming(kafka, group, topic) as handled:
        await all_of(handled, new)
    assert untold == []


@pytest.mark.parametrize("mark", ["same", "none"])
async def test_a_consumer_that_starts_again_goes_on_where_it_was(kafka, raw, make_topic, group, mark):
    topic = make_topic(partitions=1)
    async with consuming(kafka, group, topic) as handled:
        await all_of(handled, send(raw, topic, "old"))
    if mark == "none":
        await asyncio.to_thread(commit, kafka, group, topic, COUNT, "")
    async with consuming(kafka, group, topic) as handled:
        new = send(raw, topic, "new")
        await all_of(handled, new)
        assert handled == new
    assert counted(group) == 0
