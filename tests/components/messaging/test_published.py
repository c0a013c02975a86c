"""Finding a key's records by time on a real Kafka, among those of many others."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient

from runtime.errors import Unavailable
from runtime.messaging import published
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.published import PublishedMessages, Sought

NOW = datetime.now(UTC)
KEY = str(uuid.UUID(int=7)).encode()
PARTITIONS = 8
MINE = published.partition_of(KEY, PARTITIONS)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine is no limit, except where the test is about it."""
    monkeypatch.setattr(published, "READ_S", 30.0)


@pytest.fixture
def producer(kafka):
    """Return a producer with the partitioner that the services' have."""
    opened = confluent_kafka.Producer({"bootstrap.servers": kafka, "log_level": 0})
    yield opened
    opened.flush(10)


@pytest.fixture
def find(kafka):
    async def found(topic, *sought):
        return await PublishedMessages(KafkaCluster(kafka)).find(topic, KEY, sought)

    return found


def send(producer, topic, value, at, *, key=KEY):
    producer.produce(topic, key=key, value=value, timestamp=int(at.timestamp() * 1000))


def others(producer, topic, count, at):
    """Send *count* records of other keys to the partition of `KEY`."""
    for number in range(count):
        producer.poll(0)
        producer.produce(topic, key=f"other-{number}", value=b"x", partition=MINE, timestamp=int(at.timestamp() * 1000))


def sought(value, at):
    return Sought(at, lambda message: message.value == value)


def values(found):
    return [message.value for message in found.messages]


async def test_records_are_found_by_key_beside_many_others(producer, make_topic, find, monkeypatch):
    monkeypatch.setattr(published, "MAX_RECORDS", 1500)
    topic = make_topic(partitions=PARTITIONS)
    start = NOW - timedelta(hours=9)
    keys = [f"order-{number}".encode() for number in range(500)]
    for key in keys:
        send(producer, topic, b"of another order", start, key=key)
    send(producer, topic, b"1", start + timedelta(hours=1))
    send(producer, topic, b"1", start + timedelta(hours=1, milliseconds=3))
    # The second version is much further on than a search goes, so it is looked for from its own time.
    others(producer, topic, 6000, start + timedelta(hours=2))
    send(producer, topic, b"2", start + timedelta(hours=7, seconds=1))
    others(producer, topic, 500, start + timedelta(hours=8))
    producer.flush(20)
    found = await find(
        topic, sought(b"2", start + timedelta(hours=7)), sought(b"1", start + timedelta(hours=1))
    )  # fmt: skip
    assert values(found) == [b"1", b"1", b"2"]
    assert not found.limited
    assert {(message.topic, message.partition, message.key) for message in found.messages} == {(topic, MINE, KEY)}
    assert found.messages[2].offset - found.messages[1].offset == 6001


async def test_a_publisher_whose_clock_is_behind_is_found(producer, make_topic, find):
    topic = make_topic(partitions=PARTITIONS)
    send(producer, topic, b"1", NOW - timedelta(seconds=published.SKEW_S - 1))
    producer.flush(10)
    assert values(await find(topic, sought(b"1", NOW))) == [b"1"]


@pytest.mark.parametrize(("limit", "value"), [("MAX_RECORDS", 2000), ("MAX_BYTES", 2000 * 8), ("READ_S", -1.0)])
async def test_a_search_ends_at_its_limits_and_says_so(producer, make_topic, find, monkeypatch, limit, value):
    topic = make_topic(partitions=PARTITIONS)
    others(producer, topic, 4000, NOW)
    send(producer, topic, b"1", NOW)
    producer.flush(20)
    whole = await find(topic, sought(b"1", NOW))
    assert (values(whole), whole.limited) == ([b"1"], False)
    read = count_records(monkeypatch)
    monkeypatch.setattr(published, limit, value)
    found = await find(topic, sought(b"1", NOW))
    assert (values(found), found.limited) == ([], True)
    assert len(read) <= 2000


def count_records(monkeypatch):
    read = []

    def counted(raw):
        read.append(raw)
        return message_of(raw)

    message_of = published.message_of
    monkeypatch.setattr(published, "message_of", counted)
    return read


async def test_what_was_never_published_or_is_deleted_is_absent(kafka, producer, make_topic, find, monkeypatch):
    topic = make_topic(partitions=PARTITIONS)
    assert await find(topic, sought(b"1", NOW)) == published.NOTHING
    others(producer, topic, 10, NOW)
    send(producer, topic, b"1", NOW)
    send(producer, topic, b"2", NOW)
    producer.flush(10)
    # An end that is reached is no limit.
    assert values(await find(topic, sought(b"3", NOW))) == [b"1", b"2"]
    assert not (await find(topic, sought(b"3", NOW))).limited
    assert await find(topic, sought(b"1", NOW + timedelta(hours=1))) == published.NOTHING
    await asyncio.to_thread(delete_records, kafka, topic, 11)
    assert values(await find(topic, sought(b"1", NOW))) == [b"2"]
    # More of others than a search reads: the record may have been the one that was deleted, so no limit is to blame.
    others(producer, topic, 3000, NOW)
    producer.flush(10)
    monkeypatch.setattr(published, "MAX_RECORDS", 100)
    assert await find(topic, sought(b"1", NOW)) == published.Found(found_at(await find(topic, sought(b"2", NOW))))
    await asyncio.to_thread(delete_records, kafka, topic, -1)
    assert await find(topic, sought(b"1", NOW), sought(b"2", NOW)) == published.NOTHING
    assert await find("no-such-topic", sought(b"1", NOW)) == published.NOTHING


def found_at(found):
    assert values(found) == [b"2"]
    return found.messages


def delete_records(brokers, topic, offset):
    """Delete the records of `KEY`'s partition before *offset*; -1 for all of them."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    place = confluent_kafka.TopicPartition(topic, MINE, offset)
    for future in admin.delete_records([place]).values():
        future.result(10)


async def test_without_a_broker_the_search_ends_in_time(monkeypatch):
    monkeypatch.undo()
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await PublishedMessages(KafkaCluster("127.0.0.1:1")).find("t", KEY, [sought(b"1", NOW)])
    assert time.monotonic() - started < 10
