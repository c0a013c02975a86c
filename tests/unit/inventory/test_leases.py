"""Expiry of leases: orders are asked first."""

import asyncio
import contextlib

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


async def test_expired_holds_without_an_order_are_released_and_others_committed():
    store, orders = DueHolds(["a", "b", "c"]), ScriptedOrders("b")
    assert await ended(store, orders) == 3
    assert store.sold == [Sale("b", (), 4)]
    assert store.expired == ["a", "c"]
    assert orders.owner_queries == [(["a", "b", "c"], 4)]


async def test_nothing_is_released_while_orders_is_unavailable():
    store, orders = DueHolds(["a"]), ScriptedOrders()
    orders.down = True
    with pytest.raises(Unavailable):
        await ended(store, orders)
    assert store.expired == store.sold == []


async def test_orders_are_not_asked_when_nothing_is_due():
    orders = ScriptedOrders()
    assert await ended(DueHolds([]), orders) == 0
    assert orders.owner_queries == []


async def test_no_lease_ends_during_a_rebuild():
    store = DueHolds(["a"])
    assert await Leases(store, ScriptedOrders(), CurrentGeneration(), every_s=1).end_due() == 0
    assert store.expired == []


class Rounds(DueHolds):
    """Each round returns the next entry of *found*, or raises if it is an error; then the loop is cancelled."""

    def __init__(self, *found):
        super().__init__(())
        self.found = list(found)
        self.over = asyncio.Event()

    async def claim_expired(self, *, claim_ms):
        if not self.found:
            self.over.set()
            await asyncio.Event().wait()
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


async def runs_through(store, *, every_s, within_s=10):
    """Return whether every round was made in time."""
    current = CurrentGeneration()
    current.adopt(Position(4))
    task = asyncio.create_task(Leases(store, ScriptedOrders(), current, every_s=every_s).run())
    try:
        async with asyncio.timeout(within_s):
            await store.over.wait()
        return True
    except TimeoutError:
        return False
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_after_expired_holds_the_next_round_is_at_once():
    store = Rounds(["a", "b"], ["c"])
    assert await runs_through(store, every_s=60)
    assert store.expired == ["a", "b", "c"]


async def test_rounds_continue_after_an_error():
    store = Rounds(Unavailable("Redis does not answer"), ["a"])
    assert await runs_through(store, every_s=0)
    assert store.expired == ["a"]


@pytest.mark.parametrize("nothing", [[], Unavailable("Redis does not answer")])
async def test_without_expired_holds_the_next_round_is_after_the_interval(nothing):
    assert not await runs_through(Rounds(nothing), every_s=60, within_s=0.2)
