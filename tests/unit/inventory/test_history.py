"""Kafka lost entries of the ledger that the present stock still has: they are written again, once, and nothing else."""

import pytest

from inventory_svc import catalogue
from inventory_svc.history import AT_A_TIME, WholeHistory, lacking, read_anyhow
from inventory_svc.stock import Receipt
from runtime.errors import InvalidArgument, Unavailable

MUG, LAMP = catalogue.LISTINGS[0], catalogue.LISTINGS[1]
CAME_IN = [Receipt("ada 1", MUG.product, 5), Receipt("bob 1", LAMP.product, 7)]


class FakeLedger:
    """A ledger that takes no receipt of more than a hundred units."""

    def __init__(self, entries=()):
        self.entries = list(entries)

    async def read(self):
        return list(self.entries)

    async def record_receipts(self, receipts):
        receipts = list(receipts)
        if any(each.quantity > 100 for each in receipts):
            raise InvalidArgument("too many")
        self.entries += receipts

    async def record_listings(self, listings, at_ms):
        self.entries += [(each, at_ms) for each in listings]


class Present:
    def __init__(self, entries=(), *, away=False):
        self._entries, self._away = list(entries), away

    async def entries(self):
        if self._away:
            raise Unavailable("no Redis")
        return list(self._entries)


async def test_what_an_emptied_ledger_had_is_read_from_the_present_stock_and_written_again():
    ledger, there = FakeLedger(), [(MUG, 5), (LAMP, 6), *CAME_IN]
    history = WholeHistory(ledger, Present(there))
    assert await history.read() == there
    assert ledger.entries == there
    assert await history.read() == there


async def test_a_whole_ledger_is_left_alone():
    written = [(MUG, 5), *CAME_IN, (MUG, 9)]
    ledger = FakeLedger(written)
    assert await WholeHistory(ledger, Present([(MUG, 9), CAME_IN[0]])).read() == written
    assert ledger.entries == written


async def test_a_ledger_is_all_there_is_without_a_stock():
    assert await WholeHistory(FakeLedger(CAME_IN), Present()).read() == CAME_IN


def test_a_listing_newer_than_the_ledgers_is_missing_there_and_an_older_one_is_not():
    assert lacking([(MUG, 5)], [(MUG, 6)]) == [(MUG, 6)]
    assert lacking([(MUG, 5)], [(MUG, 4)]) == []


async def test_what_the_ledger_does_not_take_keeps_no_other_entry_out():
    many = [Receipt(f"ada {number}", MUG.product, 1) for number in range(AT_A_TIME + 2)]
    unusable = Receipt("eve", MUG.product, 101)
    ledger = FakeLedger()
    await WholeHistory(ledger, Present([*many, unusable])).read()
    assert ledger.entries == many


async def test_a_rebuild_waits_for_the_present_stock_and_a_migration_does_not():
    ledger = FakeLedger(CAME_IN)
    history = WholeHistory(ledger, Present(away=True))
    with pytest.raises(Unavailable):
        await history.read()
    assert await read_anyhow(history, ledger) == CAME_IN
