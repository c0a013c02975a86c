"""What waits is told as far as it can be asked, with what cannot be."""

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


async def test_everything_is_told_while_everything_answers():
    told = await look(Waits(), Lags())
    assert (told.outbox_rows, told.dead_letters, told.unknown) == (5, dict.fromkeys(SOURCES, 2), ())


async def test_without_kafka_what_the_database_knows_is_told():
    told = await look(Waits(), Lags(KAFKA))
    assert (told.states, told.outbox_rows, told.topics, told.dead_letters) == ({State.PENDING: 3}, 5, {}, {})
    assert told.unknown == ("Kafka: Kafka does not answer",)


async def test_without_the_database_what_kafka_knows_is_told():
    told = await look(Waits(DATABASE), Lags())
    assert set(told.dead_letters.values()) == {2}
    assert told.unknown == ("PostgreSQL: the database is away",)


async def test_when_nothing_answers_there_is_no_answer():
    with pytest.raises(Unavailable, match="the database is away"):
        await look(Waits(DATABASE), Lags(KAFKA))


async def test_a_mistake_is_no_part_that_is_away():
    with pytest.raises(ZeroDivisionError):
        await look(Waits(), Lags(ZeroDivisionError()))


def test_the_client_librarys_words_are_not_for_callers():
    assert unavailable(OSError("rdkafka#3: 127.0.0.1:9092/bootstrap: refused")).message == "Kafka does not answer"
