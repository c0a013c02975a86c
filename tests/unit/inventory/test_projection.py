"""The stock computed from receipts and owned units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_svc import projection as accounting
from inventory_svc.projection import StockProjection
from inventory_svc.refusals import TooManyProducts
from inventory_svc.stock import Listing, Receipt, Stock
from runtime.money import Money

MUG = Listing("mug", "Mug", "A mug.", Money.of("EUR", 12), 5)


def test_available_is_received_minus_owned():
    projection = StockProjection.of([Receipt("r1", "mug", 10), Receipt("r2", "mug", 5), (MUG, 1)])
    assert projection.stock("mug", 4) == Stock(15, 11, 0, 4)
    assert projection.stock("mug") == Stock(15, 15)


def test_a_receipt_counts_once_per_request_id_and_the_first_wins():
    projection = StockProjection()
    for quantity in (10, 10, 99):
        projection.receive(Receipt("r1", "mug", quantity))
    assert projection.stock("mug") == Stock(10, 10)
    assert projection.receipts["r1"].quantity == 10


def test_a_product_without_receipts_has_no_units():
    assert StockProjection().stock("mug") == Stock()


def test_the_latest_listing_wins_in_any_read_order():
    renamed = Listing("mug", "Big mug", "", Money.of("EUR", 13), 5)
    for order in ([(MUG, 1), (renamed, 2)], [(renamed, 2), (MUG, 1)]):
        projection = StockProjection()
        for listing, at in order:
            projection.list_product(listing, at)
        assert projection.listings["mug"][0] == renamed


def test_of_two_listings_with_one_time_the_last_written_wins():
    renamed = Listing("mug", "Big mug", "", Money.of("EUR", 13), 5)
    assert StockProjection.of([(MUG, 1), (renamed, 1)]).listings["mug"][0] == renamed


def test_receipts_of_unlisted_products_are_reported():
    projection = StockProjection.of([(MUG, 1), Receipt("r1", "ghost", 1)])
    assert projection.unlisted(["mug", "unicorn"]) == {"unicorn", "ghost"}


def test_the_number_of_products_is_limited(monkeypatch):
    monkeypatch.setattr(accounting, "MAX_PRODUCTS", 1)
    projection = StockProjection.of([(MUG, 1), (MUG, 2)])
    with pytest.raises(TooManyProducts):
        projection.list_product(Listing("pen", "Pen", "", Money.of("EUR", 1), 0), 1)


@given(st.lists(st.integers(1, 50)), st.integers(0, 2000))
def test_units_are_conserved_for_any_input(came_in, owned):
    projection = StockProjection.of(Receipt(f"r{index}", "mug", quantity) for index, quantity in enumerate(came_in))
    stock = projection.stock("mug", owned)
    assert stock.adds_up()
    assert stock.sold + stock.short == owned
