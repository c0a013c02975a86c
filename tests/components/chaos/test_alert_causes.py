"""Causes of alerts, on a Kafka and on processes of the tests' own."""

import contextlib
import os
import types

import psutil
import pytest
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from chaos.alerts.causes import holder, kafka
from orders_svc.topics import PENDING_ORDERS
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.topics import Topic, ensure_topics
from tests.support.kafka_server import running_kafka
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def brokers():
    with running_kafka() as brokers:
        yield brokers


@pytest.fixture
def stack(monkeypatch, brokers):
    """Have the causes use this Kafka; return the commands of the stack that they call."""
    commands = []
    monkeypatch.setattr(kafka, "describe", lambda _: types.SimpleNamespace(kafka_brokers=brokers))
    monkeypatch.setattr(kafka, "stack_command", lambda _, *words: commands.append(words))
    return commands


def topic(brokers, name):
    """Return what Kafka says of a topic that was made; it may take a moment until it knows it."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})

    def described():
        with contextlib.suppress(KafkaException):
            return admin.describe_topics(TopicCollection([name]))[name].result(10)

    return wait_until(described, within_s=20)


def test_a_topic_is_deleted_and_made_again_with_its_settings(stack, brokers, tmp_path):
    ensure_topics(KafkaCluster(brokers), [kafka.PENDING])
    before = topic(brokers, PENDING_ORDERS)
    kafka.recreate_topic(None, tmp_path)
    after = topic(brokers, PENDING_ORDERS)
    assert str(after.topic_id) != str(before.topic_id)
    assert len(after.partitions) == len(before.partitions) == kafka.PARTITIONS
    assert stack == []


def test_a_topic_that_was_deleted_only_is_made_again_by_what_ends_the_cause(stack, brokers, tmp_path):
    ensure_topics(KafkaCluster(brokers), [kafka.PENDING])
    kafka._delete(None, PENDING_ORDERS)
    for _ in range(2):
        kafka.publish_pending(None, tmp_path)
    assert len(topic(brokers, PENDING_ORDERS).partitions) == kafka.PARTITIONS
    assert stack == [("reconcile",)] * 2


def test_a_topic_of_a_single_copy_is_gone_once_its_cause_has_ended(stack, brokers, tmp_path):
    ensure_topics(KafkaCluster(brokers), [Topic(kafka.SINGLE, 1)])
    kept = tmp_path / "kept"
    kept.touch()
    kafka.bring_single_copy_back(None, kept, "kafka-2")
    assert kafka.SINGLE not in AdminClient({"bootstrap.servers": brokers}).list_topics(timeout=10).topics
    assert stack == [("start", "kafka-2")]
    assert not kept.exists()


def test_busy_processes_give_way_to_every_other_and_end_with_the_one_that_started_them(tmp_path):
    kept = tmp_path / "busy"
    holder.start("processors", kept)
    pid = int(kept.read_text().split()[0])
    busy = psutil.Process(pid).children()
    try:
        assert len(busy) == holder.BUSY_PER_PROCESSOR * os.cpu_count()
        wait_until(lambda: {os.sched_getscheduler(each.pid) for each in busy} == {os.SCHED_IDLE}, within_s=20)
        # As a run that was killed leaves it.
        psutil.Process(pid).kill()
        wait_until(lambda: not any(each.is_running() for each in busy), within_s=20)
    finally:
        holder.stop(kept)
    assert not kept.exists()
