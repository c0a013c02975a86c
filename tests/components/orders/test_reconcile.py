"""Each kind of damage is planted and found; with a real PostgreSQL and an inventory in memory."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shop.orders.v1 import events_pb2

from orders_svc.allocation_store import AllocationStore
from orders_svc.discrepancies import HoldSeen, StockSeen, units_of
from orders_svc.operations_store import OperationsStore
from orders_svc.order import Change, Line, State
from orders_svc.reconcile import Reconciler
from orders_svc.store import Store
from runtime.errors import FailedPrecondition, Unavailable
from runtime.messaging.relay import Relay
from runtime.notifier import Notifier
from tests.support.orders_port_suite import confirmed, draft, hold_for, pending


class Shelf:
    """Inventory's open holds and stock, damaged as the test needs."""

    def __init__(self):
        self.holds = {}
        self.released = set()
        self.on_hand = 100
        self.sold = 0
        self.held = 0
        self.refuses = False
        self.down = False
        self.rebuilt = []

    def put(self, order, units=None, generation=None):
        """Add an uncommitted hold."""
        units = units or units_of(order)
        self.holds[order.id] = HoldSeen(order.id, order.generation if generation is None else generation, units)
        self.held += sum(units.values())

    def sell(self, order):
        self.sold += sum(units_of(order).values())

    async def open_holds(self):
        if self.down:
            raise Unavailable("inventory cannot be asked")
        found = list(self.holds.values())
        for at in range(0, len(found), 2):
            yield found[at : at + 2]

    async def stock(self):
        available = 100 - self.sold - self.held
        return [StockSeen("products/tea", self.on_hand, available, self.held, self.sold)]

    async def commit(self, order_id):
        if self.refuses:
            raise FailedPrecondition("it was released", reason="HOLD_RELEASED")
        units = sum(self.holds.pop(order_id).units.values())
        self.held, self.sold = self.held - units, self.sold + units

    async def release(self, order_id):
        self.held -= sum(self.holds.pop(order_id).units.values())
        self.released.add(order_id)

    async def rebuild(self, generation):
        """Rebuild as inventory does: from the orders' sums."""
        self.rebuilt.append(generation)
        if self.refuses:
            raise Unavailable("nothing can be rebuilt now")
        started = await self.allocations.start_generation()
        self.on_hand, self.held, self.sold = 100, 0, started.sold.get("products/tea", 0)
        self.holds = {}


@pytest.fixture
def orders(pool):
    return Store(pool, Notifier(pool))


@pytest.fixture
def shelf(pool):
    shelf = Shelf()
    shelf.allocations = AllocationStore(pool)
    return shelf


@pytest.fixture
def reconciler(pool, orders, shelf):
    async def finish(order):
        await orders.save(Change(order, order.confirm(hold_for(order), datetime.now(UTC))))
        shelf.sell(order)

    return Reconciler(OperationsStore(pool), shelf, finish, settle_s=0, stuck_s=600, pause_s=0.02)


class Broker:
    def __init__(self):
        self.records = []

    async def publish_each(self, records):
        self.records += records
        return [None] * len(records)


@pytest.fixture
async def broker(pool):
    """Run a relay to a Kafka that accepts everything."""
    broker = Broker()
    task = asyncio.create_task(Relay(pool, broker, poll_s=0.05).run())
    yield broker
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def place(orders, placement):
    await orders.place(placement)
    return placement.order


def met(report):
    return [(each.kind, each.subject, each.repaired) for each in report.discrepancies]


async def sent(pool):
    """Count every row as published long ago."""
    await pool.execute("DELETE FROM outbox")


async def test_a_sound_system_has_no_discrepancy(orders, shelf, reconciler, pool):
    for _ in range(5):
        shelf.sell(await place(orders, confirmed(draft())))
    handed = await place(orders, confirmed(draft()))
    shelf.sell(handed)
    await orders.save(Change(handed, handed.fulfil(datetime.now(UTC))))
    await sent(pool)
    report = await reconciler.run(deep=True)
    assert met(report) == []
    assert (report.orders, report.holds, report.unrepaired) == (0, 0, 0)


async def test_a_commit_that_never_reached_inventory_is_repaired_by_a_rebuild(orders, shelf, reconciler, pool):
    await place(orders, confirmed(draft()))
    await sent(pool)
    report = await reconciler.run()
    assert met(report) == [("STOCK_DIFFERS", "products/tea", True)]
    assert shelf.sold == 2
    assert shelf.rebuilt == [0]
    assert met(await reconciler.run()) == []


async def test_a_stock_that_cannot_be_rebuilt_now_is_reported(orders, shelf, reconciler, pool):
    await place(orders, confirmed(draft()))
    await sent(pool)
    shelf.refuses = True
    assert met(await reconciler.run()) == [("STOCK_DIFFERS", "products/tea", False)]


async def test_an_uncommitted_hold_is_committed_and_its_event_republished(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    shelf.put(order)
    await sent(pool)
    report = await reconciler.run()
    assert met(report) == [("HOLD_NOT_COMMITTED", order.name, True)]
    assert (shelf.held, shelf.sold, report.orders, report.holds) == (0, 2, 1, 1)
    event = events_pb2.OrderEvent.FromString(await pool.fetchval("SELECT value FROM outbox"))
    assert (event.order.name, event.order.version) == (order.name, 1)
    await sent(pool)
    assert met(await reconciler.run()) == []


async def test_the_hold_of_a_fulfilled_order_is_committed(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    shelf.put(order)
    await orders.save(Change(order, order.fulfil(datetime.now(UTC))))
    await sent(pool)
    assert met(await reconciler.run()) == [("HOLD_NOT_COMMITTED", order.name, True)]


async def test_a_hold_of_another_generation_is_left_to_its_lease(orders, shelf, reconciler, pool):
    """Its order was counted when the stock was rebuilt: committing the hold would count it twice."""
    order = await place(orders, confirmed(draft()))
    shelf.sell(order)
    shelf.put(order, generation=7)
    await sent(pool)
    assert met(await reconciler.run()) == []
    assert shelf.held == 2


async def test_a_sale_without_an_order_is_released_by_a_rebuild(shelf, reconciler):
    shelf.sell(confirmed(draft()).order)
    assert met(await reconciler.run()) == [("STOCK_DIFFERS", "products/tea", True)]
    assert shelf.sold == 0


async def test_a_hold_without_an_order_is_left_to_its_lease(shelf, reconciler):
    shelf.put(confirmed(draft()).order)
    assert met(await reconciler.run()) == []


async def test_the_hold_of_a_cancelled_order_is_released(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    shelf.put(order)
    await orders.save(Change(order, order.cancel(datetime.now(UTC))))
    await sent(pool)
    assert met(await reconciler.run()) == [("HOLD_NOT_RELEASED", f"holds/{order.id}", True)]
    assert shelf.released == {order.id}


async def test_a_stuck_outbox_row_is_published_by_a_running_relay(orders, shelf, reconciler, pool, broker):
    order = await place(orders, confirmed(draft()))
    shelf.sell(order)
    await pool.execute("UPDATE outbox SET refused = 'too large'")
    report = await reconciler.run()
    assert [(each.kind, each.repaired) for each in report.discrepancies] == [("EVENT_NOT_SENT", True)]
    assert len(broker.records) == 1


async def test_an_outbox_row_without_a_relay_is_reported(orders, shelf, reconciler):
    shelf.sell(await place(orders, confirmed(draft())))
    report = await reconciler.run()
    assert [(each.kind, each.repaired) for each in report.discrepancies] == [("EVENT_NOT_SENT", False)]


async def test_an_order_pending_for_too_long_is_finished(orders, shelf, reconciler, pool):
    wanted = draft()
    placement = pending(wanted)
    old = replace(placement.order, update_time=datetime.now(UTC) - timedelta(hours=1))
    await orders.place(replace(placement, order=old))
    await pool.execute("UPDATE orders SET update_time = now() - interval '1 hour'")
    await sent(pool)
    report = await reconciler.run()
    assert ("ORDER_STUCK_PENDING", old.name, True) in met(report)
    assert (await orders.get(old.id)).state is State.CONFIRMED


async def test_stock_that_does_not_add_up_is_reported_with_numbers_and_rebuilt(shelf, reconciler):
    shelf.on_hand = 101
    (found,) = (await reconciler.run()).discrepancies
    assert (found.kind, found.subject, found.repaired) == ("STOCK_NOT_CONSERVED", "products/tea", True)
    assert "101" in found.detail
    assert "100" in found.detail


async def test_missing_units_are_reported_without_a_useless_rebuild(orders, shelf, reconciler, pool):
    await place(orders, confirmed(draft(quantity=120)))
    shelf.sold = 100
    await sent(pool)
    assert met(await reconciler.run()) == [("STOCK_SHORT", "products/tea", False)]
    assert shelf.rebuilt == []


async def test_a_hold_with_other_lines_is_reported(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft(quantity=2)))
    shelf.put(order, units={"products/tea": 1})
    await sent(pool)
    assert ("HOLD_DIFFERS", order.name, False) in met(await reconciler.run(only_look=True))


async def test_validate_only_repairs_nothing(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    await sent(pool)
    shelf.put(order)
    shelf.sold = 1
    report = await reconciler.run(only_look=True)
    assert met(report) == [("HOLD_NOT_COMMITTED", order.name, False)]
    shelf.held, shelf.holds = 0, {}
    assert met(await reconciler.run(only_look=True)) == [("STOCK_DIFFERS", "products/tea", False)]
    assert shelf.rebuilt == []


async def test_a_deep_run_finds_a_wrong_count_of_sold_units(orders, shelf, reconciler, pool):
    shelf.sell(await place(orders, confirmed(draft())))
    await sent(pool)
    await pool.execute("UPDATE sold_units SET units = units + 1")
    shelf.sold += 1
    assert met(await reconciler.run()) == []
    (found,) = (await reconciler.run(deep=True)).discrepancies
    assert (found.kind, found.repaired) == ("SOLD_UNITS_DIFFER", False)
    assert found.detail == "orders own 2, but 3 are counted"


async def test_recent_changes_are_ignored(pool, orders, shelf):
    order = await place(orders, confirmed(draft()))
    shelf.put(order)
    await pool.execute("UPDATE orders SET update_time = now()")

    async def nothing(_):
        raise AssertionError("nothing waits")

    assert met(await Reconciler(OperationsStore(pool), shelf, nothing, settle_s=60, pause_s=0.01).run()) == []


async def test_an_unavailable_inventory_is_reported(orders, shelf, reconciler, pool):
    await place(orders, confirmed(draft()))
    await sent(pool)
    shelf.down = True
    with pytest.raises(Unavailable):
        await reconciler.run()


async def test_only_one_replica_reconciles_at_a_time(pool, orders, shelf, reconciler):
    runs = 0
    running = reconciler.run

    async def slow():
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.3)
        return await running()

    reconciler.run = slow
    await asyncio.gather(*(reconciler.run_alone() for _ in range(3)))
    assert runs == 1


async def test_lines_of_an_order_may_have_several_products(orders, shelf, reconciler, pool):
    wanted = replace(draft(), lines=(Line("products/tea", 2), Line("products/pot", 1)))
    await place(orders, confirmed(wanted))
    shelf.sold = 2
    await sent(pool)
    assert met(await reconciler.run(deep=True)) == []
