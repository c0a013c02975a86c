"""The backlog is returned as far as it is available, with the names of the missing parts."""

import pytest

from orders_svc import saga
from orders_svc.backlog import BacklogMonitor
from orders_svc.dead_letters import SOURCES
from orders_svc.operations_ports import PendingNow, WaitingNow
from orders_svc.order import State
from runtime.errors import Unavailable
from runtime.messaging.errors import unavailable


class Waits:
    def __init__(self, error=None):
        self.error = error

    async def waiting(self):
        if self.error:
            raise self.error
        return WaitingNow({State.PENDING: 3}, PendingNow(3, 12.0), 5, 7.0, 1)


class Lags:
    def __init__(self, error=None):
        self.error = error

    async def of(self, topics):
        if self.error:
            raise self.error
        return dict.fromkeys(topics, 2)


KAFKA = Unavailable("Kafka does not answer")
DATABASE = Unavailable("the database is away")


def look(waits, lags):
    return BacklogMonitor(waits, lags, saga.stages((5, 30, 120))).look()


async def test_the_backlog_is_complete_while_everything_is_up():
    backlog = await look(Waits(), Lags())
    assert (backlog.outbox_rows, backlog.dead_letters, backlog.unknown) == (5, dict.fromkeys(SOURCES, 2), ())


async def test_without_kafka_the_databases_part_is_returned():
    backlog = await look(Waits(), Lags(KAFKA))
    assert (backlog.states, backlog.outbox_rows, backlog.topics, backlog.dead_letters) == (
        {State.PENDING: 3},
        5,
        {},
        {},
    )
    assert backlog.unknown == ("Kafka: Kafka does not answer",)


async def test_without_the_database_kafkas_part_is_returned():
    backlog = await look(Waits(DATABASE), Lags())
    assert set(backlog.dead_letters.values()) == {2}
    # Nothing that could be taken for a measurement: `unknown` says that these are none.
    assert (backlog.states, backlog.oldest_pending_s, backlog.outbox_rows) == ({}, 0, 0)
    assert (backlog.outbox_lag_s, backlog.refused_rows) == (0, 0)
    assert backlog.unknown == ("PostgreSQL: the database is away",)


async def test_with_everything_down_the_call_fails():
    with pytest.raises(Unavailable, match="the database is away"):
        await look(Waits(DATABASE), Lags(KAFKA))


async def test_an_unexpected_error_fails_the_call():
    with pytest.raises(ZeroDivisionError):
        await look(Waits(), Lags(ZeroDivisionError()))


def test_error_texts_of_client_libraries_are_not_returned():
    assert unavailable(OSError("rdkafka#3: 127.0.0.1:9092/bootstrap: refused")).message == "Kafka does not answer"
