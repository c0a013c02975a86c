"""Each kind of damage, planted and found; with a real PostgreSQL and an inventory in memory."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shop.orders.v1 import events_pb2

from orders_svc.discrepancies import HoldSeen, HoldState, StockSeen
from orders_svc.order import Change, Line, State
from orders_svc.reconcile import Reconciler
from orders_svc.store import Store
from runtime.errors import FailedPrecondition, Unavailable
from runtime.messaging.relay import Relay
from runtime.notifier import Notifier
from tests.unit.orders.port_suite import confirmed, draft, hold_for, pending


class Shelf:
    """Inventory's holds and stock, as damaged as the test wants them."""

    def __init__(self):
        self.holds = {}
        self.on_hand = 100
        self.sold = 0
        self.held = 0
        self.refuses = False
        self.down = False

    def put(self, order, state=HoldState.COMMITTED, units=None):
        units = units or {line.product: line.quantity for line in order.lines}
        self.holds[order.id] = HoldSeen(order.id, state, units)
        self._count()

    def _count(self):
        self.sold = sum(sum(h.units.values()) for h in self.holds.values() if h.state is HoldState.COMMITTED)
        self.held = sum(sum(h.units.values()) for h in self.holds.values() if h.state is HoldState.HELD)

    async def holds_of(self, order_ids):
        if self.down:
            raise Unavailable("inventory cannot be asked")
        return {each: self.holds[each] for each in order_ids if each in self.holds}

    async def all_holds(self):
        live = [hold for hold in self.holds.values() if hold.state is not HoldState.RELEASED]
        for at in range(0, len(live), 2):
            yield live[at : at + 2]

    async def stock(self):
        available = 100 - self.sold - self.held
        return [StockSeen("products/tea", self.on_hand, available, self.held, self.sold)]

    async def take(self, order):
        if self.refuses:
            raise FailedPrecondition("not enough", reason="OUT_OF_STOCK")
        self.put(order)

    async def release(self, order_id):
        self.holds[order_id] = replace(self.holds[order_id], state=HoldState.RELEASED)
        self._count()


@pytest.fixture
def orders(pool):
    return Store(pool, Notifier(pool))


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def reconciler(pool, orders, shelf):
    async def finish(order):
        await orders.save(Change(order, order.confirm(hold_for(order), datetime.now(UTC))))
        await shelf.take(order)

    return Reconciler(pool, shelf, finish, settle_s=0, stuck_s=600, pause_s=0.05)


class Broker:
    def __init__(self):
        self.records = []

    async def publish_each(self, records):
        self.records += records
        return [None] * len(records)


@pytest.fixture
async def broker(pool):
    """Kafka that takes everything; a relay runs."""
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
    """Every row is published, as if long ago."""
    await pool.execute("DELETE FROM outbox")


async def test_a_sound_system_has_no_discrepancy(orders, shelf, reconciler, pool):
    for _ in range(5):
        shelf.put(await place(orders, confirmed(draft())))
    handed = await place(orders, confirmed(draft()))
    shelf.put(handed)
    await orders.save(Change(handed, handed.fulfil(datetime.now(UTC))))
    await sent(pool)
    report = await reconciler.run()
    assert met(report) == []
    assert (report.orders, report.holds, report.unrepaired) == (5, 6, 0)


async def test_a_confirmed_order_without_a_hold_gets_it_and_its_event_is_told_again(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    await sent(pool)
    report = await reconciler.run()
    assert met(report) == [("ORDER_WITHOUT_HOLD", order.name, True)]
    assert shelf.holds[order.id].state is HoldState.COMMITTED
    event = events_pb2.OrderEvent.FromString(await pool.fetchval("SELECT value FROM outbox"))
    assert (event.order.name, event.order.version) == (order.name, 1)
    await sent(pool)
    assert met(await reconciler.run()) == []


async def test_a_confirmed_order_whose_stock_is_gone_is_reported(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    await sent(pool)
    shelf.refuses = True
    report = await reconciler.run()
    assert ("ORDER_WITHOUT_HOLD", order.name, False) in met(report)
    assert ("STOCK_DIFFERS", "products/tea", False) in met(report)
    assert report.unrepaired == 2


async def test_a_hold_that_was_never_committed_is_committed(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    shelf.put(order, HoldState.HELD)
    await sent(pool)
    assert met(await reconciler.run()) == [("HOLD_NOT_COMMITTED", order.name, True)]
    assert shelf.holds[order.id].state is HoldState.COMMITTED


async def test_a_sale_to_an_order_that_does_not_exist_is_given_back(orders, shelf, reconciler):
    ghost = confirmed(draft()).order
    shelf.put(ghost)
    assert met(await reconciler.run()) == [("HOLD_WITHOUT_ORDER", f"holds/{ghost.id}", True)]
    assert shelf.holds[ghost.id].state is HoldState.RELEASED


async def test_a_hold_whose_order_is_still_to_come_is_left_to_its_lease(shelf, reconciler):
    shelf.put(confirmed(draft()).order, HoldState.HELD)
    assert met(await reconciler.run()) == []


@pytest.mark.parametrize("state", [HoldState.HELD, HoldState.COMMITTED])
async def test_the_hold_of_a_cancelled_order_is_given_back(orders, shelf, reconciler, pool, state):
    order = await place(orders, confirmed(draft()))
    shelf.put(order, state)
    await orders.save(Change(order, order.cancel(datetime.now(UTC))))
    await sent(pool)
    assert met(await reconciler.run()) == [("HOLD_NOT_RELEASED", f"holds/{order.id}", True)]
    assert shelf.holds[order.id].state is HoldState.RELEASED


async def test_an_outbox_row_that_nobody_sent_goes_with_a_running_relay(orders, shelf, reconciler, pool, broker):
    order = await place(orders, confirmed(draft()))
    shelf.put(order)
    await pool.execute("UPDATE outbox SET refused = 'too large'")
    report = await reconciler.run()
    assert [(each.kind, each.repaired) for each in report.discrepancies] == [("EVENT_NOT_SENT", True)]
    assert len(broker.records) == 1


async def test_an_outbox_row_that_nobody_relays_is_reported(orders, shelf, reconciler):
    shelf.put(await place(orders, confirmed(draft())))
    report = await reconciler.run()
    assert [(each.kind, each.repaired) for each in report.discrepancies] == [("EVENT_NOT_SENT", False)]


async def test_an_order_that_waits_for_too_long_is_finished(orders, shelf, reconciler, pool):
    wanted = draft()
    placement = pending(wanted)
    old = replace(placement.order, update_time=datetime.now(UTC) - timedelta(hours=1))
    await orders.place(replace(placement, order=old))
    await pool.execute("UPDATE orders SET update_time = now() - interval '1 hour'")
    await sent(pool)
    report = await reconciler.run()
    assert ("ORDER_STUCK_PENDING", old.name, True) in met(report)
    assert (await orders.get(old.id)).state is State.CONFIRMED


async def test_stock_that_does_not_add_up_is_reported_with_its_numbers(shelf, reconciler):
    shelf.on_hand = 101
    (found,) = (await reconciler.run()).discrepancies
    assert (found.kind, found.subject, found.repaired) == ("STOCK_NOT_CONSERVED", "products/tea", False)
    assert "101" in found.detail
    assert "100" in found.detail


async def test_stock_that_was_sold_to_nobody_is_reported(shelf, reconciler):
    shelf.sold = 3
    (found,) = (await reconciler.run()).discrepancies
    assert (found.kind, found.detail) == ("STOCK_DIFFERS", "orders own 0, but 3 are sold and 0 held")


async def test_a_hold_of_other_lines_is_reported(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft(quantity=2)))
    shelf.put(order, units={"products/tea": 1})
    await sent(pool)
    assert ("HOLD_DIFFERS", order.name, False) in met(await reconciler.run())


async def test_looking_only_repairs_nothing(orders, shelf, reconciler, pool):
    order = await place(orders, confirmed(draft()))
    await sent(pool)
    report = await reconciler.run(only_look=True)
    assert ("ORDER_WITHOUT_HOLD", order.name, False) in met(report)
    assert order.id not in shelf.holds


async def test_what_has_just_changed_may_be_on_its_way_and_is_left_alone(pool, orders, shelf):
    order = await place(orders, confirmed(draft()))
    shelf.put(order, HoldState.HELD)
    await pool.execute("UPDATE orders SET update_time = now()")

    async def nothing(_):
        raise AssertionError("nothing waits")

    assert met(await Reconciler(pool, shelf, nothing, settle_s=60, pause_s=0.01).run()) == []


async def test_an_inventory_that_can_not_be_asked_is_told(orders, shelf, reconciler, pool):
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
    order = await place(orders, confirmed(wanted))
    shelf.put(order)
    shelf.sold -= 1
    await sent(pool)
    assert met(await reconciler.run()) == []
