"""Dead letters on a real Kafka: size limits, truncation and redrive."""

import asyncio

import confluent_kafka.admin
import pytest

from runtime.errors import InvalidArgument
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.dead_lettering import dead_lettered
from runtime.messaging.message import Message, Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.reader import read_to_end
from runtime.messaging.redrive import Redrive, Source
from runtime.messaging.topics import MAX_DEAD_LETTER_BYTES, Topic, dead_letter_topic, ensure_topics
from tests.support.waiting import passes

# The largest record of a topic with the broker's default limit.
LARGE = b"x" * 1_048_500
HEADERS = {f"h{number}": "y" * 100 for number in range(60)}


@pytest.fixture
async def publisher(kafka):
    async with Publisher(KafkaCluster(kafka), client_id="test") as opened:
        yield opened


async def bury(publisher, topic, value=LARGE):
    async def fail(_):
        raise KeyError("x" * 9000)

    poison = Message("source", 1, 2, b"k", value, HEADERS, 0)
    await dead_lettered(publisher, topic)(fail)([poison])


async def test_a_record_that_fits_its_topic_fits_the_dead_letter_topic(kafka, make_topic, publisher):
    source, dead = make_topic(), make_topic("dead", max_message_bytes=MAX_DEAD_LETTER_BYTES)
    await bury(publisher, dead)
    (letter,) = await read_to_end(KafkaCluster(kafka), dead)
    assert len(letter.value) == len(LARGE)
    assert letter.headers["h1"] == "y" * 100
    redriven = await Redrive(KafkaCluster(kafka), publisher, {dead: Source(source, lambda _: True)}, group=dead).run(10)
    # With its sender's headers it exceeds its source topic's limit, which is reported and does not stop the redrive.
    assert redriven.sent == {dead: 0}
    assert redriven.passed_over == {dead: 1}


async def test_an_oversized_record_is_truncated_and_has_its_origin(kafka, make_topic, publisher):
    dead = make_topic("dead")
    await bury(publisher, dead)
    (letter,) = await read_to_end(KafkaCluster(kafka), dead)
    assert len(letter.value) == 65_536
    assert letter.headers["original_size"] == str(len(LARGE))
    assert [letter.headers[f"origin_{part}"] for part in ("topic", "partition", "offset")] == ["source", "1", "2"]


async def test_the_record_limit_of_an_existing_topic_is_raised(kafka, make_topic, publisher):
    dead = make_topic("dead")
    await asyncio.to_thread(ensure_topics, KafkaCluster(kafka), [dead_letter_topic(dead)])

    async def whole():
        await bury(publisher, dead)
        assert len((await read_to_end(KafkaCluster(kafka), dead))[-1].value) == len(LARGE)

    # A broker acknowledges a new limit before it applies it.
    await passes(whole)


async def test_one_oversized_record_fails_no_other_of_its_batch(kafka, make_topic, publisher):
    topic = make_topic(partitions=1)
    values = [b"small", b"x" * 1_500_000, b"small, too", LARGE]
    outcomes = await publisher.publish_each([Record(topic, b"k", value) for value in values])
    assert [type(outcome) for outcome in outcomes] == [type(None), InvalidArgument, type(None), type(None)]
    assert [len(each.value) for each in await read_to_end(KafkaCluster(kafka), topic)] == [5, 10, len(LARGE)]


async def test_redrive_publishes_only_to_allowed_topics(kafka, make_topic, publisher, raw):
    source, dead, other = make_topic(), make_topic("dead"), make_topic("other")
    raw.send(dead, value=b"good", headers=[(b"origin_topic", other.encode()), (b"traceparent", b"00-1")])
    raw.send(dead, value=b"bad")
    raw.send(dead, value=b"good, too", headers=[(b"\xff\xfe", None)])
    raw.flush()
    redrive = Redrive(
        KafkaCluster(kafka), publisher, {dead: Source(source, lambda each: each.value.startswith(b"good"))}, group=dead
    )
    done = await redrive.run(10, topic=dead)
    assert (done.sent, done.passed_over) == ({dead: 2}, {dead: 1})
    found = await read_to_end(KafkaCluster(kafka), source)
    assert sorted(each.value for each in found) == [b"good", b"good, too"]
    assert {"traceparent": "00-1"} in [dict(each.headers) for each in found]
    assert await read_to_end(KafkaCluster(kafka), other) == []
    assert (await redrive.run(10)).sent == {dead: 0}
    with pytest.raises(InvalidArgument):
        await redrive.run(10, topic=other)


async def test_an_existing_topic_keeps_its_other_settings(kafka, make_topic):
    name = make_topic("dead")
    await asyncio.to_thread(
        ensure_topics, KafkaCluster(kafka), [Topic(name, retention_ms=1, max_message_bytes=2_000_000)]
    )
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": kafka})
    resource = confluent_kafka.admin.ConfigResource(confluent_kafka.admin.ConfigResource.Type.TOPIC, name)

    async def described():
        (settings,) = [future.result() for future in admin.describe_configs([resource]).values()]
        assert settings["max.message.bytes"].value == "2000000"
        return settings

    settings = await passes(described)
    assert settings["retention.ms"].value == str(7 * 24 * 3600 * 1000)
