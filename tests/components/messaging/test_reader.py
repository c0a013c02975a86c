"""Reading a topic to its end: completely, or with an error."""

import asyncio
import time

import confluent_kafka
import pytest

from runtime.errors import ResourceExhausted, Unavailable
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import messages_to_end, read_to_end, topic_ends


@pytest.fixture
def transactional(kafka):
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": kafka, "transactional.id": f"t-{time.monotonic_ns()}", "log_level": 0}
    )
    producer.init_transactions(20)
    return producer


def send(raw, topic, count, **more):
    for number in range(count):
        raw.send(topic, key=b"k%d" % number, value=b"%d" % number, **more)
    raw.flush()


async def test_a_topic_is_read_to_its_end(kafka, make_topic, raw):
    topic = make_topic(partitions=3)
    assert await read_to_end(KafkaCluster(kafka), topic) == []
    send(raw, topic, 2500)
    messages = await read_to_end(KafkaCluster(kafka), topic)
    assert sorted(int(message.value) for message in messages) == list(range(2500))


async def test_an_open_transaction_is_not_the_end(kafka, make_topic, raw, transactional):
    topic = make_topic(partitions=1)
    send(raw, topic, 3)
    transactional.begin_transaction()
    transactional.produce(topic, b"of the transaction")
    transactional.flush()
    send(raw, topic, 1)
    with pytest.raises(Unavailable) as refused:
        await read_to_end(KafkaCluster(kafka), topic, within_s=2)
    assert (refused.value.reason, refused.value.metadata["topic"]) == ("TOPIC_UNREAD", topic)
    reading = asyncio.create_task(read_to_end(KafkaCluster(kafka), topic, within_s=20))
    await asyncio.sleep(1)
    assert not reading.done()
    transactional.commit_transaction()
    assert [message.value for message in await reading] == [b"0", b"1", b"2", b"of the transaction", b"0"]


async def test_an_aborted_transaction_at_the_end_is_skipped(kafka, make_topic, raw, transactional):
    topic = make_topic(partitions=1)
    send(raw, topic, 2)
    transactional.begin_transaction()
    transactional.produce(topic, b"never")
    transactional.flush()
    transactional.abort_transaction()
    assert [message.value for message in await read_to_end(KafkaCluster(kafka), topic, within_s=20)] == [b"0", b"1"]


async def test_missing_and_oversized_topics_are_errors(kafka, make_topic, raw):
    with pytest.raises(Unavailable):
        await read_to_end(KafkaCluster(kafka), "no-such-topic", within_s=1)
    topic = make_topic(partitions=1)
    send(raw, topic, 30)
    with pytest.raises(ResourceExhausted):
        await read_to_end(KafkaCluster(kafka), topic, max_records=29)


async def test_last_records_and_records_after_a_time_are_read(kafka, make_topic, raw):
    topic = make_topic(partitions=1)
    send(raw, topic, 3)
    ends = topic_ends(KafkaCluster(kafka), topic)
    assert ends == {0: 3}
    send(raw, topic, 2)
    assert [each.offset for each in await read_to_end(KafkaCluster(kafka), topic, last=1)] == [4]
    after = await asyncio.to_thread(list, messages_to_end(KafkaCluster(kafka), topic, starts=ends))
    assert [each.offset for each in after] == [3, 4]


async def test_unreadable_headers_are_dropped_and_the_value_is_kept(kafka, make_topic, raw):
    """As often as CPython needs to specialize the call, which then no longer raises."""
    topic = make_topic(partitions=1)
    for number in range(200):
        raw.send(topic, value=b"%d" % number, headers=[(b"ok", None), (b"\xff\xfe", b"x"), (b"\xfe", b"")])
    raw.send(topic, value=b"200", headers=[(b"%d" % number, b"") for number in range(40_000)])
    raw.send(topic, value=b"201", headers=[(b"\xff", b"")] * 40_000)
    raw.send(topic, value=b"202", headers=[(b"none", None), (b"bytes", b"\xff\x00")])
    raw.send(topic, value=None, key=None, timestamp_ms=-1)
    raw.flush()
    messages = await read_to_end(KafkaCluster(kafka), topic)
    assert [message.value for message in messages] == [*(b"%d" % number for number in range(203)), None]
    assert [dict(message.headers) for message in messages[:202]] == [{}] * 202
    assert messages[202].headers == {"none": "", "bytes": "\ufffd\x00"}
    assert messages[203].key == b""


async def test_without_a_broker_reading_ends_in_time():
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await read_to_end(KafkaCluster("127.0.0.1:1"), "t", within_s=1)
    assert time.monotonic() - started < 15
