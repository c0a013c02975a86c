"""A rebuild: what it reports, and how long it keeps its lock."""

import pytest
from structlog.testing import capture_logs

from inventory_svc import rebuild
from inventory_svc.generation import Position
from inventory_svc.ports import Started
from inventory_svc.rebuild import Rebuild
from inventory_svc.stock import Listing, Receipt
from runtime.errors import Aborted, Unavailable
from runtime.money import Money

MUG, PEN = (Listing(name, name.title(), "", Money.of("EUR", 12), 5) for name in ("mug", "pen"))
HISTORY = [(MUG, 1), (PEN, 1), Receipt("r1", "mug", 3)]


class Lock:
    """A lock whose renewals have these results."""

    token = "ours"

    def __init__(self, *renewals):
        self.renewals = list(renewals)

    async def renew(self):
        result = self.renewals.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


class Staging:
    """A stock that is written nowhere."""

    def __init__(self, *, removed=0, activated=True):
        self.removed, self.activated = removed, activated
        self.taken_back = False

    async def write(self, projection):
        self.projection = projection

    async def activate(self, projection, started, token):
        assert (projection, token) == (self.projection, Lock.token)
        return self.activated

    async def remove(self):
        self.taken_back = True

    async def sweep(self, token):
        return self.removed


class World:
    """The ledger and the orders, which own *owned*."""

    def __init__(self, owned):
        self.owned = owned

    async def read(self):
        return HISTORY

    async def start_generation(self, *, above):
        return Started(above + 1, self.owned)


async def rebuilt(staging, **owned):
    """Return the events that a rebuild logs, by name."""
    world = World(owned)
    with capture_logs() as logs:
        assert await Rebuild(lambda: staging, world, world).run(Lock(), above=4) == Position(5)
    return {each["event"]: each for each in logs}


async def test_a_stock_that_covers_the_orders_is_not_reported_as_short():
    logs = await rebuilt(Staging(), mug=3)
    assert set(logs) == {"stock_rebuilt"}
    assert (logs["stock_rebuilt"]["products"], logs["stock_rebuilt"]["owned"]) == (2, 3)


async def test_units_that_orders_own_and_that_never_came_in_are_reported():
    assert (await rebuilt(Staging(), mug=5))["stock_short"]["short"] == {"mug": 2}


async def test_removed_keys_of_earlier_stocks_are_reported():
    assert (await rebuilt(Staging(removed=7)))["old_stock_removed"]["keys"] == 7


async def test_a_stock_that_another_replica_replaced_is_removed():
    staging = Staging(activated=False)
    with pytest.raises(Aborted):
        await rebuilt(staging)
    assert staging.taken_back


async def test_the_lock_is_renewed_until_it_is_lost(monkeypatch):
    monkeypatch.setattr(rebuild, "RENEW_S", 0)
    lock = Lock(True, Unavailable("Redis does not respond"), True, False)
    await rebuild._renew(lock)
    assert lock.renewals == []
