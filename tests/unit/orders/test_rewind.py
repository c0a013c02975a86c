"""
After a restore of the database: the stock's generation, the consumers, pending orders, and the notice to consumers.
"""

import uuid
from datetime import UTC, datetime

import pytest
from shop.orders.v1.events_pb2 import OrdersRestored

from orders_svc.order import Order
from orders_svc.ports import Started
from orders_svc.rewind import PAGE, REJOIN_S, notice, publish_lost, rewind
from orders_svc.topics import ORDERS_RESTORED
from runtime.errors import Unavailable
from tests.support.orders_port_suite import draft

TO = datetime(2026, 11, 27, 1, 0, 0, 500_000, tzinfo=UTC)
AT = datetime(2026, 11, 27, 2, tzinfo=UTC)


class Database:
    """An orders' database with pending orders; records the order of calls to it and to the consumers."""

    def __init__(self, pending=0, generation=7):
        self.pending = sorted((Order.pending(draft(), AT) for _ in range(pending)), key=lambda order: order.id)
        self.generation = generation
        self.done = []
        self.published = []
        self.kafka = True

    async def pending_after(self, order_id, *, limit):
        return [order for order in self.pending if order.id > order_id][:limit]

    async def publish_again(self, order):
        self.done.append(order.id)

    async def publish(self, records):
        self.done.append("told")
        self.published += records

    async def start_generation(self, *, above=0):
        self.done.append("generation")
        self.generation = max(self.generation, above) + 1
        return Started(self.generation, {})

    async def pass_over(self):
        if not self.kafka:
            raise Unavailable("no Kafka")
        self.done.append("passed over")

    async def rewind(self):
        return await rewind(self, self, self.pass_over, to=TO, at=AT)


async def test_the_generation_is_above_any_of_the_lost_history():
    database = Database(generation=7)
    assert (await database.rewind()).generation > AT.timestamp()


async def test_a_second_restore_to_the_same_moment_has_its_own_generation():
    first, second = Database(), Database()
    one = await first.rewind()
    other = await rewind(second, second, second.pass_over, to=TO, at=datetime(2026, 11, 27, 3, tzinfo=UTC))
    # However often the stock was rebuilt within the hour.
    assert other.generation > one.generation + 3000


async def test_consumers_skip_the_lost_history_before_anything_new_is_published():
    database = Database(pending=2)
    await database.rewind()
    assert database.done == ["generation", "passed over", *(order.id for order in database.pending), "told"]


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1])
async def test_every_pending_order_is_published_again_once(count):
    database = Database(pending=count)
    assert (await database.rewind()).pending == count
    assert database.done[2:-1] == [order.id for order in database.pending]


async def test_what_is_pending_once_consumers_have_joined_again_is_published_once_more():
    database = Database(pending=3)
    first, second, third = (order.id for order in database.pending)

    async def sleep(seconds):
        assert seconds == REJOIN_S
        # Two were read from the new log meanwhile, the other one was skipped.
        database.pending = [order for order in database.pending if order.id == second]
        database.done.append("joined")

    assert await publish_lost(database, sleep=sleep) == 3
    assert database.done == [first, second, third, "joined", second]


async def test_without_pending_orders_nobody_waits_for_consumers():
    async def sleep(_seconds):
        raise AssertionError

    assert await publish_lost(Database(), sleep=sleep) == 0


async def test_without_kafka_nothing_is_announced_and_the_next_try_repeats_everything():
    database = Database(pending=1)
    database.kafka = False
    with pytest.raises(Unavailable):
        await database.rewind()
    assert database.published == []
    database.kafka = True
    await database.rewind()
    assert len(database.published) == 1


def test_a_repeated_notice_has_the_same_id_and_the_undone_changes():
    record = notice(to=TO, at=AT, generation=9)
    event = OrdersRestored.FromString(record.value)
    assert record.topic == ORDERS_RESTORED
    assert record == notice(to=TO, at=AT, generation=9)
    assert (event.restore_time.ToDatetime(UTC), event.occur_time.ToDatetime(UTC)) == (TO, AT)
    assert event.stock_generation == 9
    assert uuid.UUID(event.event_id)
