"""Ending leases: the orders are asked first."""

import pytest

from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.leases import Leases
from inventory_svc.stock import Sale
from runtime.errors import Unavailable
from tests.support.fakes.scripted import DueHolds, ScriptedOrders


async def ended(store, orders):
    current = CurrentGeneration()
    current.adopt(Position(4))
    return await Leases(store, orders, current, every_s=1).end_due()


async def test_what_no_order_owns_is_given_back_and_the_rest_is_sold():
    store, orders = DueHolds(["a", "b", "c"]), ScriptedOrders("b")
    assert await ended(store, orders) == 3
    assert store.sold == [Sale("b", (), 4)]
    assert store.expired == ["a", "c"]
    assert orders.asked == [(["a", "b", "c"], 4)]


async def test_nothing_is_given_back_while_orders_cannot_be_asked():
    store, orders = DueHolds(["a"]), ScriptedOrders()
    orders.down = True
    with pytest.raises(Unavailable):
        await ended(store, orders)
    assert store.expired == store.sold == []


async def test_orders_are_not_asked_when_nothing_is_due():
    orders = ScriptedOrders()
    assert await ended(DueHolds([]), orders) == 0
    assert orders.asked == []


async def test_nothing_ends_while_the_stock_is_being_rebuilt():
    store = DueHolds(["a"])
    assert await Leases(store, ScriptedOrders(), CurrentGeneration(), every_s=1).end_due() == 0
    assert store.expired == []
