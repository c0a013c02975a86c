"""Entries of the ledger and events of the stock, as messages."""

import pytest
from shop.inventory.v1.events_pb2 import LedgerEntry, StockEvent

from inventory_svc import catalogue, ledger, translate
from inventory_svc.scripts import Position
from inventory_svc.stock import Receipt


def test_compaction_keeps_receipts_that_differ_and_the_last_listing_of_a_product():
    receipts = [Receipt("ada r", "mug", 1), Receipt("ada r", "mug", 2), Receipt("bob r", "mug", 1)]
    assert len({ledger.key(translate.receipt_entry(each, 1)) for each in receipts}) == 3
    listing = catalogue.LISTINGS[0]
    assert ledger.key(translate.listing_entry(listing, 1)) == ledger.key(translate.listing_entry(listing, 2))


def test_entries_come_back_as_they_were():
    for listing in catalogue.LISTINGS:
        assert translate.listing(translate.listing_entry(listing, 1).listing) == listing
    for receipt in catalogue.RECEIPTS:
        assert translate.receipt(translate.receipt_entry(receipt, 1).receipt) == receipt


@pytest.mark.parametrize("value", [b"", b"\xff\xff", LedgerEntry().SerializeToString()])
def test_what_is_no_entry_is_passed_over(value):
    assert ledger.decode(value) is None


def test_the_example_shop_has_ten_products_with_a_price_and_stock():
    assert len({each.product for each in catalogue.LISTINGS}) == 10
    assert all(each.unit_price.units > 0 and each.unit_price.currency == "EUR" for each in catalogue.LISTINGS)
    assert {each.product for each in catalogue.RECEIPTS} == {each.product for each in catalogue.LISTINGS}


def test_a_stream_entry_becomes_an_event_with_the_stock_of_its_moment():
    fields = {"kind": "held", "hold": "a", "at": "1500", "changes": '[["mug",2,10,8,2,0]]'}
    event = translate.stock_event("3-17", fields)
    assert (event.kind, event.hold, event.generation, event.event_id) == (StockEvent.HELD, "holds/a", 3, "3-17")
    assert event.occur_time.ToMilliseconds() == 1500
    assert (event.changes[0].product, event.changes[0].quantity) == ("products/mug", 2)
    assert event.changes[0].stock.available == 8


def test_the_position_of_what_is_no_event_is_the_very_first():
    assert ledger._position(StockEvent(event_id="3-17").SerializeToString()) == Position(3, 17)
    assert ledger._position(b"\xff") == ledger._position(b"") == Position(0)
