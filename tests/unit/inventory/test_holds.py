"""The use cases on fakes of their ports."""

import asyncio

import pytest

from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.holds import HOLDS, LATE, UNDECIDED, Inventory
from inventory_svc.refusals import HoldGone, HoldReleased, HoldSettled, NoSuchGeneration, Rebuilding
from inventory_svc.stock import Basket, Hold, Line, Receipt, Return, Sale, State, Stock
from runtime.errors import Unavailable
from tests.support.fakes.scripted import ScriptedLedger, ScriptedOrders, ScriptedStock

LINES = (Line("mug", 1),)


@pytest.fixture
def store():
    return ScriptedStock()


@pytest.fixture
def ledger(store):
    return ScriptedLedger(store.done)


@pytest.fixture
def orders():
    return ScriptedOrders()


@pytest.fixture
def current():
    current = CurrentGeneration()
    current.adopt(Position(6))
    return current


@pytest.fixture
def inventory(store, ledger, orders, current):
    return Inventory(store, ledger, orders, current)


async def test_concurrent_holds_share_one_script_call(inventory, store):
    holds = await asyncio.gather(*(inventory.hold(Basket(f"o{index}", LINES)) for index in range(60)))
    assert [each.order for each in holds] == [f"o{index}" for index in range(60)]
    assert store.scripts_run == 1


def counted(counter, *labels):
    child = counter.labels(*labels) if labels else counter
    return child._value.get()


async def test_holds_are_counted_by_outcome(inventory, store):
    store.refused = {"b"}
    held, refused = counted(HOLDS, "HELD"), counted(HOLDS, HoldReleased.reason)
    outcomes = await inventory.hold_all([Basket(order, LINES) for order in "abc"])
    assert [type(outcome) for outcome in outcomes] == [Hold, HoldReleased, Hold]
    assert (counted(HOLDS, "HELD"), counted(HOLDS, HoldReleased.reason)) == (held + 2, refused + 1)


async def test_a_single_commit_sells_the_hold_or_raises(inventory, store):
    assert (await inventory.commit("a")).state is State.COMMITTED
    assert store.sold == [("a", Sale("a", ()).generation, False)]
    store.gone = {"b"}
    with pytest.raises(HoldGone):
        await inventory.commit("b")


async def test_a_single_release_returns_the_held_units(inventory, store):
    assert (await inventory.release("a")).state is State.RELEASED
    assert store.returned == [Return("a")]


async def test_releases_have_the_stores_outcomes_and_only_events_ahead_are_reexamined(inventory, store, current):
    released, ahead, unknown = await inventory.release_all(
        [Return("a", LINES, 6), Return("b", LINES, 7), Return("c", LINES, 7)]
    )
    assert released.state is State.RELEASED
    assert isinstance(ahead, NoSuchGeneration)
    assert isinstance(unknown, NoSuchGeneration)
    assert not current.doubted.is_set()


async def test_late_commits_and_undecidable_events_are_counted(inventory, store, orders):
    late, undecided = counted(LATE), counted(UNDECIDED)
    store.gone, orders.known, store.undecided = {"a", "b"}, {"a"}, {"c"}
    await inventory.commit_all([Sale(order, LINES, 6) for order in "abcd"])
    assert (counted(LATE), counted(UNDECIDED)) == (late + 1, undecided + 1)


async def test_commits_with_expired_holds_have_their_outcomes_in_order(inventory, store, orders):
    store.gone, orders.known = set("abcd"), {"a", "c", "d"}
    outcomes = await inventory.commit_all([Sale(order, LINES, 6) for order in "abcd"])
    assert [(type(each), getattr(each, "order", "")) for each in outcomes] == [
        (Hold, "a"),
        (HoldGone, ""),
        (Hold, "c"),
        (Hold, "d"),
    ]


async def test_a_commit_done_concurrently_is_not_counted_as_late(inventory, store, orders, monkeypatch):
    orders.known = {"a"}
    done = Hold("a", LINES, State.COMMITTED, 6)
    monkeypatch.setattr(store, "_committed", lambda sale, owned: done if owned else HoldGone(sale.order))
    late = counted(LATE)
    assert await inventory.commit_all([Sale("a", LINES, 6)]) == [done]
    assert counted(LATE) == late


async def test_events_ahead_wait_for_an_existing_generation_and_others_are_decided(inventory, store, orders, current):
    store.ahead, orders.present, orders.known = set("ab"), 7, {"b"}
    waits, sold = await inventory.commit_all([Sale("a", LINES, 7), Sale("b", LINES, 9)])
    assert isinstance(waits, Rebuilding)
    assert (sold.state, sold.late) == (State.COMMITTED, True)
    assert current.doubted.is_set()
    assert orders.owner_queries == [(["b"], 6), (["b"], 0)]


async def test_a_generation_found_wrong_is_replaced(inventory, current):
    await inventory.rebuild(6)
    assert current.retired == 6
    assert current.doubted.is_set()


async def test_orders_are_asked_only_about_expired_holds(inventory, store, orders):
    store.gone, orders.known = {"b", "c"}, {"b"}
    a, b, c = await inventory.commit_all([Sale(order, LINES, 6) for order in "abc"])
    assert (a.late, b.late) == (False, True)
    assert isinstance(c, HoldGone)
    assert orders.owner_queries == [(["b", "c"], 6)]


async def test_an_order_cancelled_before_its_commit_is_remembered(inventory, store, orders):
    """Its CANCELLED event must then release nothing."""
    store.gone, orders.known = {"b", "c"}, {"b"}
    await inventory.commit_all([Sale(order, LINES, 6) for order in "abc"])
    assert store.returned == [Return("c")]


async def test_an_event_of_a_generation_being_built_waits_for_it(inventory, store, orders, current):
    store.ahead, orders.present = {"b"}, 7
    sold, waits = await inventory.commit_all([Sale("a", LINES, 6), Sale("b", LINES, 7)])
    (released,) = await inventory.release_all([Return("c", LINES, 7)])
    assert sold.state is State.COMMITTED
    assert isinstance(waits, Rebuilding)
    assert isinstance(released, Rebuilding)
    assert current.doubted.is_set()
    assert orders.owner_queries == []


async def test_an_event_of_a_generation_that_never_began_is_decided_by_the_owned_units(
    inventory, store, orders, current
):
    store.ahead, orders.known, orders.before = set("abc"), {"a"}, {"b"}
    here, before, nobody = await inventory.commit_all([Sale(order, LINES, 9) for order in "abc"])
    (released,) = await inventory.release_all([Return("d", LINES, 9)])
    assert (here.state, here.late) == (State.COMMITTED, True)
    assert isinstance(before, HoldSettled)
    assert isinstance(nobody, NoSuchGeneration)
    assert isinstance(released, NoSuchGeneration)
    assert store.sold[-1] == ("a", 6, True)
    assert not current.doubted.is_set()


async def test_undecidable_events_cause_a_new_generation(inventory, store, current):
    store.undecided = {"a"}
    waits, sold = await inventory.commit_all([Sale("a", LINES, 6), Sale("b", LINES, 6)])
    assert isinstance(waits, Rebuilding)
    assert sold.state is State.COMMITTED
    assert current.retired == 6
    assert current.doubted.is_set()


async def test_a_receipt_is_durable_before_it_is_applied(inventory, store):
    restocked = await inventory.restock(Receipt("ada r", "mug", 5))
    assert store.done == ["reserved", "recorded", "received"]
    assert (restocked.product.stock, restocked.repeated) == (Stock(15, 15), False)


async def test_a_receipt_that_is_not_durable_is_not_applied(inventory, store, ledger):
    ledger.down = True
    with pytest.raises(Unavailable):
        await inventory.restock(Receipt("ada r", "mug", 5))
    assert "received" not in store.done


async def test_a_replayed_receipt_returns_the_first_response_and_writes_nothing(inventory, store):
    store.before = Stock(15, 15)
    restocked = await inventory.restock(Receipt("ada r", "mug", 5))
    assert (restocked.product.stock, restocked.repeated) == (Stock(15, 15), True)
    assert store.done == ["reserved"]
