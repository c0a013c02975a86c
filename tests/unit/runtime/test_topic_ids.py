"""Which offsets count once a topic was deleted and made again."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, TopicPartition

from runtime.errors import Unavailable
from runtime.messaging.topic_ids import LOOK_S, TopicIds


class Kafka:
    """Tells the ids in *ids*, and counts how often it is asked; it answers nobody while *hangs*."""

    def __init__(self, **ids):
        self.ids, self.asked, self.hangs = ids, 0, False

    async def __call__(self):
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        return dict(self.ids)


@pytest.fixture
def kafka():
    return Kafka(events="a", others="o")


@pytest.fixture
def ids(kafka):
    return TopicIds(kafka)


def start(ids, offset, mark, topic="events", partition=0):
    metadata = () if mark is None else (mark,)
    [found] = ids.started([TopicPartition(topic, partition, offset, *metadata)])
    return found.offset


async def later():
    await asyncio.sleep(LOOK_S + 0.1)


async def test_the_first_look_finds_nothing_new_and_another_id_is_told_once(kafka, ids):
    assert await ids.look() == {}
    kafka.ids["events"] = "b"
    assert await ids.look() == {"events": "b"}
    assert await ids.look() == {}


async def test_kafka_is_asked_beside_the_caller_and_not_for_every_batch(kafka, ids):
    await ids.look()
    with ids.watch() as recreated:
        for _ in range(1000):
            assert recreated() == {}
        await later()
        assert kafka.asked == 2
        kafka.ids["events"] = "b"
        assert recreated() == {}
        await later()
        assert recreated() == {"events": "b"}
        assert recreated() == {}
    asked = kafka.asked
    await later()
    assert kafka.asked == asked


async def test_a_kafka_that_hangs_is_not_waited_for(kafka, ids):
    await ids.look()
    kafka.hangs = True
    with ids.watch() as recreated:
        await later()
        assert kafka.asked == 2
        assert recreated() == {}


async def test_a_batch_is_committed_with_the_id_that_it_was_read_under(kafka, ids):
    await ids.look()
    kafka.ids["events"] = "b"
    with ids.watch() as recreated:
        await later()
        assert ids.mark("events") == "topic-id=a"
        recreated()
        assert ids.mark("events") == "topic-id=b"


async def test_an_error_of_the_look_reaches_the_consumer(kafka, ids):
    async def fail():
        raise KeyError("a bug")

    with TopicIds(fail).watch() as recreated:
        await later()
        with pytest.raises(KeyError):
            recreated()


async def test_while_kafka_does_not_tell_the_last_id_counts(kafka, ids):
    await ids.look()
    for told in ({}, {"others": "o"}, {"events": ""}):
        kafka.ids = told
        assert await ids.look() == {}
        assert ids.mark("events") == "topic-id=a"
    kafka.ids = {"events": "b"}
    assert await ids.look() == {"events": "b"}


async def test_an_offset_counts_in_the_topic_that_it_was_committed_in(kafka, ids):
    await ids.look()
    assert start(ids, 5, "topic-id=a") == OFFSET_INVALID
    assert start(ids, 5, "topic-id=z") == OFFSET_BEGINNING
    # Nothing was committed: the consumer's own rule for that applies.
    assert start(ids, OFFSET_INVALID, None) == OFFSET_INVALID


async def test_an_offset_without_an_id_counts_until_the_topic_is_made_again(kafka, ids):
    await ids.look()
    assert start(ids, 5, None) == start(ids, 5, "") == start(ids, 5, "somebody's own") == OFFSET_INVALID
    kafka.ids["events"] = "b"
    await ids.look()
    assert start(ids, 5, "") == OFFSET_BEGINNING
    assert start(ids, 5, "topic-id=b") == OFFSET_INVALID
    assert start(ids, 5, "", topic="others") == OFFSET_INVALID


async def test_once_an_offset_is_committed_in_the_new_topic_one_without_an_id_counts_again(kafka, ids):
    await ids.look()
    kafka.ids["events"] = "b"
    await ids.look()
    ids.committed([TopicPartition("events", 0, 7, ids.mark("events"))])
    # As an administrator resets it.
    assert start(ids, 5, "") == OFFSET_INVALID
    # In another partition it may still be one of the topic before.
    assert start(ids, 5, "", partition=1) == OFFSET_BEGINNING
    kafka.ids["events"] = "c"
    await ids.look()
    assert start(ids, 5, "") == OFFSET_BEGINNING


async def test_an_offset_with_an_id_is_not_used_before_kafka_has_told_the_id(kafka, ids):
    told, kafka.ids = kafka.ids, {}
    await ids.look()
    assert ids.mark("events") == ""
    assert start(ids, 5, "") == start(ids, OFFSET_INVALID, None) == OFFSET_INVALID
    with pytest.raises(Unavailable):
        start(ids, 5, "topic-id=a")
    kafka.ids = told
    await ids.look()
    assert start(ids, 5, "topic-id=a") == OFFSET_INVALID


async def test_on_brokers_without_ids_nothing_is_marked_and_every_offset_counts(kafka, ids):
    kafka.ids["events"] = ""
    await ids.look()
    assert ids.mark("events") == ""
    assert start(ids, 5, "topic-id=z") == OFFSET_INVALID
    # The first id, of brokers that give some now, is no other one.
    kafka.ids["events"] = "a"
    assert await ids.look() == {}
    assert ids.mark("events") == "topic-id=a"
