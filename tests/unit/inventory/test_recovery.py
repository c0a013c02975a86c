"""What a replica makes of what it finds in Redis, of what the orders accept, and of a rebuild."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from inventory_svc import recovery as module
from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.recovery import StockRecovery
from inventory_svc.verdict import Found
from runtime import errors
from tests.support.fakes.inventory import FakeLedger, FakeOrders

LONG_S = 1000.0


class Lock:
    """The lock of rebuilds, which another replica may have."""

    token = "ours"

    def __init__(self, *, free):
        self.free = free
        self.released = False

    async def acquire(self):
        return self.free

    async def release(self):
        self.released = True


class Data:
    """What is in Redis."""

    def __init__(self, position):
        self.found = Found(position, position.generation if position else 0, "run 1")
        self.finds = 0
        self.at_find = {}
        self.lock = Lock(free=True)

    async def find(self):
        self.finds += 1
        if self.finds in self.at_find:
            self.at_find[self.finds]()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def put(self, generation, sequence=0, *, run="run 1"):
        self.found = Found(Position(generation, sequence), generation, run)

    def rebuild_lock(self):
        return self.lock


class Rebuild:
    """A rebuild that puts a new stock into Redis, or fails."""

    def __init__(self, data, orders):
        self.data, self.orders = data, orders
        self.above = []
        self.during = lambda: None
        self.error = None

    async def run(self, lock, *, above):
        self.above.append(above)
        self.during()
        if self.error:
            raise self.error
        self.orders.present = above + 1
        self.data.put(above + 1)
        return Position(above + 1)


class CountedOrders(FakeOrders):
    """Orders that count how often they were asked."""

    asked = 0

    async def generation(self):
        self.asked += 1
        return await super().generation()


class Replica:
    """A replica of inventory beside Redis with *position* and orders that accept *accepted*."""

    def __init__(self, position=None, *, accepted=0, ask_s=0.0, every_s=0.0):
        self.data, self.ledger, self.orders = Data(position), FakeLedger(), CountedOrders()
        self.orders.present = accepted
        self.current = CurrentGeneration()
        self.rebuild = Rebuild(self.data, self.orders)
        self.ready = []
        self.recovery = StockRecovery(
            self.data, self.current, self.rebuild, self.ledger, self.orders,
            on_ready=self.say, every_s=every_s, ask_s=ask_s,
        )  # fmt: skip

    async def say(self, ready):
        self.ready.append(ready)

    async def look(self):
        await self.recovery.look()

    @contextlib.asynccontextmanager
    async def running(self, until):
        """Run the recovery until it looks into Redis for the time *until*."""
        reached = asyncio.Event()
        self.data.at_find[until] = reached.set
        task = asyncio.create_task(self.recovery.run())
        await asyncio.wait_for(reached.wait(), 5)
        yield
        task.cancel()


def gauges():
    """Return the generation that is served, and whether it is accepted, as they are exported."""
    return tuple(REGISTRY.get_sample_value(name) for name in ("inventory_generation", "inventory_stock_accepted"))


def rebuilds(outcome):
    return REGISTRY.get_sample_value("inventory_rebuilds_total", {"outcome": outcome})


def test_every_outcome_of_rebuilds_is_exported_from_the_start():
    assert {each.labels["outcome"] for each in module.REBUILDS.collect()[0].samples} == {"done", "failed"}


async def test_a_stock_that_is_up_to_date_is_served_and_said_once():
    replica = Replica(Position(3, 7), accepted=3)
    with capture_logs() as logs:
        await replica.look()
        await replica.look()
    assert (replica.ready, gauges()) == ([True], (3, 1))
    assert (replica.current.position, replica.current.accepted) == (Position(3, 7), True)
    assert [each["event"] for each in logs] == ["stock_served"]


async def test_the_orders_are_asked_once_while_nothing_is_in_doubt():
    replica = Replica(Position(3), accepted=3, ask_s=LONG_S)
    await replica.look()
    await replica.look()
    assert replica.orders.asked == 1


async def test_the_orders_are_asked_again_when_their_answer_is_older_than_it_may_be():
    replica = Replica(Position(3), accepted=3)
    await replica.look()
    await replica.look()
    assert replica.orders.asked == 2


async def test_a_generation_that_began_meanwhile_is_asked_for_again():
    replica = Replica(Position(3), accepted=3, ask_s=LONG_S)
    await replica.look()
    replica.data.put(4)
    replica.orders.present = 4
    await replica.look()
    assert (replica.orders.asked, replica.rebuild.above) == (2, [])
    assert replica.current.position == Position(4)


async def test_orders_that_cannot_be_asked_accept_what_they_accepted():
    replica = Replica(Position(3), accepted=4)
    replica.data.lock.free = False
    await replica.look()
    assert not replica.current.accepted
    replica.orders.down = True
    await replica.look()
    assert (replica.current.position, replica.current.accepted) == (Position(3), False)


async def test_a_stock_that_is_accepted_again_is_said_to_be_ready():
    replica = Replica(Position(3), accepted=4)
    replica.data.lock.free = False
    await replica.look()
    replica.orders.present = 3
    await replica.look()
    assert (replica.ready, gauges()) == ([True, True], (3, 1))


async def test_a_stock_that_is_not_accepted_can_be_read():
    replica = Replica(Position(3), accepted=4)
    replica.data.lock.free = False
    await replica.look()
    assert (replica.ready, gauges()) == ([True], (3, 0))
    await replica.look()
    assert replica.ready == [True]


async def test_a_stock_that_is_to_be_replaced_is_served_until_then():
    replica = Replica(Position(3), accepted=3)
    replica.data.lock.free = False
    replica.current.retire(3)
    await replica.look()
    assert (replica.current.accepted, gauges()) == (True, (3, 1))


async def test_a_stock_that_is_behind_is_not_served_while_another_replica_rebuilds_it():
    replica = Replica(Position(3, 7), accepted=3)
    await replica.look()
    replica.data.put(3, 6)
    replica.data.lock.free = False
    with capture_logs() as logs:
        await replica.look()
    assert (replica.ready, gauges()) == ([True, False], (0, 0))
    assert replica.current.position is None
    assert [(each["event"], each["reason"]) for each in logs] == [("rebuilt_by_another_replica", "behind")]
    assert not replica.data.lock.released


async def test_a_missing_stock_is_rebuilt_and_served(monkeypatch):
    replica = Replica(None, accepted=5, ask_s=LONG_S)
    before = rebuilds("done")
    clock = SimpleNamespace(now=10.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    replica.rebuild.during = lambda: setattr(clock, "now", 11.23456)
    replica.ledger.published = Position(5, 1)
    with capture_logs() as logs:
        await replica.look()
    assert replica.rebuild.above == [5]
    assert (replica.ready, gauges()) == ([False, True], (6, 1))
    assert rebuilds("done") == before + 1
    assert replica.data.lock.released
    assert logs[-2] == {"event": "rebuild_done", "generation": 6, "seconds": 1.235, "log_level": "info"}


async def test_a_rebuild_by_a_faster_replica_is_served():
    replica = Replica(None, accepted=1, ask_s=LONG_S)

    def rebuilt():
        replica.data.put(2)
        replica.orders.present = 2

    # The third look is the first with the lock.
    replica.data.at_find[3] = rebuilt
    await replica.look()
    assert (replica.rebuild.above, replica.data.lock.released) == ([], True)
    assert (replica.current.position, replica.ready) == (Position(2), [False, True])


async def test_a_failed_rebuild_of_no_stock_is_counted_and_leaves_the_mesh():
    replica = Replica(None)
    replica.rebuild.error = errors.Aborted("it no longer fits", reason="NO_ROOM")
    before = rebuilds("failed")
    with capture_logs() as logs, pytest.raises(errors.Aborted):
        await replica.look()
    assert rebuilds("failed") == before + 1
    assert replica.ready[-1] is False
    assert logs[-1]["event"] == "rebuild_failed"
    assert (logs[-1]["reason"], logs[-1]["cause"]) == ("missing", "NO_ROOM")


async def test_a_failed_rebuild_of_an_accepted_stock_goes_on_serving_it():
    replica = Replica(Position(3), accepted=3)
    await replica.look()
    replica.current.retire(3)
    replica.rebuild.error = errors.Unavailable("Kafka does not answer")
    with pytest.raises(errors.Unavailable):
        await replica.look()
    assert (replica.current.accepted, replica.ready, gauges()) == (True, [True], (3, 1))


async def test_a_failed_rebuild_after_the_fence_moved_leaves_the_mesh():
    replica = Replica(Position(3), accepted=3)
    await replica.look()
    replica.current.retire(3)
    replica.rebuild.during = lambda: setattr(replica.orders, "present", 4)
    replica.rebuild.error = errors.Unavailable("Redis does not answer")
    with pytest.raises(errors.Unavailable):
        await replica.look()
    assert (replica.current.accepted, replica.ready[-1], gauges()) == (False, False, (3, 0))


async def test_a_failed_rebuild_is_not_fenced_by_orders_that_cannot_be_asked():
    replica = Replica(Position(3), accepted=3)
    await replica.look()
    replica.current.retire(3)
    replica.rebuild.during = lambda: setattr(replica.orders, "down", True)
    replica.rebuild.error = errors.Unavailable("nothing answers")
    with pytest.raises(errors.Unavailable):
        await replica.look()
    assert (replica.current.accepted, replica.ready) == (True, [True])


async def test_a_restart_of_redis_during_the_check_is_checked_again():
    replica = Replica(Position(3, 9), accepted=3)
    replica.data.at_find[2] = lambda: replica.data.put(3, 9, run="run 2")
    await replica.look()
    assert replica.data.finds == 4


async def test_the_history_is_read_once_for_each_start_of_redis():
    replica = Replica(Position(3, 9), accepted=3)
    await replica.look()
    # Without another start of Redis nobody looks there.
    replica.ledger.published = Position(3, 10)
    await replica.look()
    assert replica.ready == [True]
    replica.data.put(3, 9, run="run 2")
    replica.data.lock.free = False
    await replica.look()
    assert replica.ready == [True, False]


async def test_a_history_that_cannot_be_read_is_read_at_the_next_check():
    replica = Replica(Position(3, 9), accepted=3)
    replica.ledger.down = True
    with capture_logs() as logs:
        await replica.look()
    assert logs[0] == {"event": "stock_history_unread", "error": "Kafka does not answer", "log_level": "warning"}
    assert replica.ready == [True]
    replica.ledger.down = False
    replica.ledger.published = Position(3, 10)
    replica.data.lock.free = False
    await replica.look()
    assert replica.ready == [True, False]


async def test_a_redis_that_does_not_answer_is_said_by_the_responses():
    replica = Replica(None)
    replica.data.found = error = errors.Unavailable("Redis does not answer")
    with pytest.raises(errors.Unavailable):
        await replica.look()
    assert replica.ready == [True]
    with pytest.raises(errors.Unavailable) as raised:
        replica.current.known()
    assert raised.value is error


async def test_a_redis_that_does_not_answer_changes_nothing_that_is_served():
    replica = Replica(Position(3), accepted=3)
    await replica.look()
    replica.data.found = errors.Unavailable("Redis does not answer")
    with pytest.raises(errors.Unavailable):
        await replica.look()
    assert (replica.ready, replica.current.position) == ([True], Position(3))


async def test_a_failure_is_logged_and_tried_again():
    replica = Replica(Position(3), accepted=3)
    replica.data.found = errors.Unavailable("Redis does not answer")
    replica.data.at_find[2] = lambda: replica.data.put(3)
    with capture_logs() as logs:
        async with replica.running(until=4):
            pass
    waits = [each for each in logs if each["event"] == "stock_recovery_waits"]
    assert [(each["attempt"], each["error"]) for each in waits] == [(1, "Redis does not answer")]
    assert replica.current.position == Position(3)


async def test_a_doubt_wakes_the_recovery_and_asks_the_orders_again():
    replica = Replica(Position(3), accepted=3, ask_s=LONG_S, every_s=LONG_S)
    async with replica.running(until=2):
        # The first look is over, and nobody looks for a long time.
        await asyncio.sleep(0)
        assert replica.orders.asked == 1
        reached = asyncio.Event()
        replica.data.at_find[4] = reached.set
        replica.current.doubted.set()
        await asyncio.wait_for(reached.wait(), 5)
        assert (replica.orders.asked, replica.current.doubted.is_set()) == (2, False)


async def test_the_recovery_looks_again_and_again_without_a_doubt():
    replica = Replica(Position(3), accepted=3)
    async with replica.running(until=6):
        assert replica.current.position == Position(3)


async def test_a_first_start_builds_the_first_generation():
    replica = Replica(None)
    await replica.look()
    assert (replica.rebuild.above, replica.current.position) == ([0], Position(1))


async def test_a_stock_is_served_while_orders_cannot_be_asked():
    replica = Replica(Position(3), accepted=3)
    replica.orders.down = True
    with capture_logs() as logs:
        await replica.look()
    assert (replica.ready, replica.current.position) == ([True], Position(3))
    assert [each["event"] for each in logs] == ["accepted_generation_unknown", "stock_served"]
