"""Which offsets count once a topic was deleted and made again."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, TopicPartition

from runtime.messaging.topic_ids import LOOK_S, TopicIds


class Kafka:
    """Tells the ids in *ids*, and counts how often it is asked."""

    def __init__(self, **ids):
        self.ids, self.asked, self.now = ids, 0, 0.0

    async def __call__(self):
        self.asked += 1
        return dict(self.ids)

    def later(self):
        self.now += LOOK_S


@pytest.fixture
def kafka():
    return Kafka(events="a", others="o")


@pytest.fixture
def ids(kafka):
    return TopicIds(kafka, clock=lambda: kafka.now)


def start(ids, offset, mark, topic="events"):
    committed = TopicPartition(topic, 0, offset) if mark is None else TopicPartition(topic, 0, offset, mark)
    [found] = ids.started([committed])
    return found.offset


async def test_the_first_look_finds_nothing_new_and_another_id_is_told_once(kafka, ids):
    assert await ids.recreated() == {}
    kafka.later()
    kafka.ids["events"] = "b"
    assert await ids.recreated() == {"events": "b"}
    kafka.later()
    assert await ids.recreated() == {}


async def test_kafka_is_not_asked_for_every_batch(kafka, ids):
    for _ in range(1000):
        await ids.recreated()
    assert kafka.asked == 1
    kafka.later()
    await ids.recreated()
    assert kafka.asked == 2


async def test_while_kafka_does_not_tell_the_last_id_counts(kafka, ids):
    await ids.recreated()
    for told in ({}, {"others": "o"}):
        kafka.ids = told
        kafka.later()
        assert await ids.recreated() == {}
        assert ids.mark("events") == "topic-id=a"
    kafka.ids = {"events": "b"}
    kafka.later()
    assert await ids.recreated() == {"events": "b"}


async def test_an_offset_counts_in_the_topic_that_it_was_committed_in(kafka, ids):
    await ids.recreated()
    assert start(ids, 5, "topic-id=a") == OFFSET_INVALID
    assert start(ids, 5, "topic-id=z") == OFFSET_BEGINNING
    # Nothing was committed: the consumer's own rule for that applies.
    assert start(ids, OFFSET_INVALID, None) == OFFSET_INVALID


async def test_an_offset_without_an_id_counts_until_the_topic_is_made_again(kafka, ids):
    await ids.recreated()
    assert start(ids, 5, None) == start(ids, 5, "") == start(ids, 5, "somebody's own") == OFFSET_INVALID
    kafka.ids["events"] = "b"
    kafka.later()
    await ids.recreated()
    assert start(ids, 5, "") == OFFSET_BEGINNING
    assert start(ids, 5, "topic-id=b") == OFFSET_INVALID
    assert start(ids, 5, "", topic="others") == OFFSET_INVALID


async def test_without_an_id_from_kafka_nothing_is_marked_and_every_offset_counts(kafka, ids):
    kafka.ids = {}
    await ids.recreated()
    assert ids.mark("events") == ""
    assert start(ids, 5, "topic-id=z") == OFFSET_INVALID
