"""A Kafka for these tests, and producers."""

import uuid

import pytest

from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.topics import Topic, ensure_topics
from tests.components.messaging.raw import RawProducer
from tests.support.kafka_server import running_kafka


@pytest.fixture(scope="session")
def kafka():
    with running_kafka() as brokers:
        yield brokers


@pytest.fixture
def make_topic(kafka):
    """Create topics with unique names."""

    def make(name="t", **settings):
        full = f"{name}-{uuid.uuid4().hex[:8]}"
        ensure_topics(KafkaCluster(kafka), [Topic(full, **settings)])
        return full

    return make


@pytest.fixture
def raw(kafka):
    producer = RawProducer(kafka)
    yield producer
    producer.close()
