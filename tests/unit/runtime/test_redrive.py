"""Where a redrive begins, against a Kafka whose partitions have no leader for a moment."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from runtime.messaging import redrive

pytestmark = pytest.mark.usefixtures("virtual_sleep")

NO_LEADER = KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))


class FakeConsumer:
    """One partition with the offsets 3 to 9; its first *failures* calls for these find no leader."""

    def __init__(self, failures, *, committed=-1001, error=None):
        self.failures = failures
        self.place = SimpleNamespace(topic="dead", partition=0, offset=committed, error=error)
        self.assigned = []

    def list_topics(self, topic, *, timeout):
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def committed(self, places, *, timeout):
        assert places == [TopicPartition("dead", 0)]
        return [self.place]

    def get_watermark_offsets(self, place, *, timeout):
        if self.failures:
            self.failures -= 1
            raise NO_LEADER
        return 3, 10

    def assign(self, places):
        self.assigned = [each.offset for each in places]


@pytest.mark.parametrize(("committed", "begins", "left"), [(-1001, 3, 7), (5, 5, 5), (10, 10, 0)])
def test_a_partition_without_a_leader_for_a_moment_is_retried(committed, begins, left):
    consumer = FakeConsumer(2, committed=committed)
    assert redrive._assign_patiently(consumer, "dead") == left
    assert consumer.assigned == [begins]


@pytest.mark.parametrize(
    "consumer",
    [FakeConsumer(10_000), FakeConsumer(0, error=NO_LEADER.args[0])],
    ids=["no leader", "no committed offset"],
)
def test_a_partition_that_stays_without_a_leader_is_an_error_and_nothing_is_assigned(consumer):
    with pytest.raises(KafkaException):
        redrive._assign_patiently(consumer, "dead")
    assert consumer.assigned == []
