"""Encoding and decoding of the scripts' arguments and replies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_svc import codec
from inventory_svc.stock import Basket, Hold, Line, Return, Sale, State, Stock
from runtime.errors import Internal
from runtime.money import Money

prices = st.builds(Money.of, st.just("EUR"), st.integers(0, 10**12), st.integers(0, 999_999_999)) | st.none()


@given(prices)
def test_a_price_survives_the_round_trip(price):
    assert codec.price(codec.price_text(price)) == price


def test_lua_writes_an_empty_list_as_an_empty_object():
    assert codec.lines("{}") == ()


def test_lines_are_read_with_their_prices():
    text = '[["mug", "2", "EUR 12 500000000"], ["pen", "1", ""]]'
    assert codec.lines(text) == (Line("mug", 2, Money.of("EUR", 12, 500_000_000)), Line("pen", 1, None))


def test_stock_is_decoded():
    assert codec.stock(["9", "4", "3", "2"]) == Stock(9, 4, 3, 2)


def test_a_hold_without_a_lease_has_no_expiry():
    assert codec.hold("a", 3, "committed", "[]", "") == Hold("a", (), State.COMMITTED, 3, None)
    assert codec.hold("a", 3, "held", "[]", "17").expire_ms == 17


def test_a_product_is_decoded():
    product = codec.product(["mug", "9", "4", "3", "2", "1", "Mug", "A mug.", "EUR 12 500000000", "7"])
    assert product.stock == Stock(9, 4, 3, 2, 1)
    assert product.listing.unit_price == Money.of("EUR", 12, 500_000_000)
    assert product.listing.low_stock == 7


def test_arguments_are_flat():
    assert list(codec.basket_arguments(Basket("a", (Line("mug", 2),)))) == ["a", 1, "mug", 2]
    sale = Sale("a", (Line("mug", 2, Money.of("EUR", 1)), Line("pen", 1)), 4, 1000)
    assert list(codec.sale_arguments(sale)) == ["a", 4, 1, 1000, 2, "mug", 2, "pen", 1]
    handed_over = Sale("a", (), 4, 1000, handed_over=True)
    assert list(codec.sale_arguments(handed_over)) == ["a", 4, 0, 1000, 0]
    back = Return("a", (Line("mug", 2),), 5, 4, 1000, 900)
    assert list(codec.return_arguments(back)) == ["a", 5, 4, 1000, 900, 1, "mug", 2]


def test_a_product_without_a_price_is_an_error():
    with pytest.raises(Internal):
        codec.product(["mug", "9", "4", "3", "2", "1", "Mug", "A mug.", "", "7"])


@pytest.mark.parametrize("most", [1, 7, 500])
@given(sizes=st.lists(st.integers(1, 100), max_size=60))
def test_script_calls_are_limited_in_lines_except_for_one_large_basket(most, sizes):
    baskets = [Sale(f"o{n}", tuple(Line(f"p{i}", 1) for i in range(size))) for n, size in enumerate(sizes)]
    parts = list(codec.chunks(baskets, most))
    assert [basket for part in parts for basket in part] == baskets
    assert all(len(part) == 1 or sum(len(each.lines) for each in part) <= most for part in parts)


def test_script_calls_are_filled_up_to_the_limit():
    baskets = [Sale(f"o{n}", (Line("mug", 1), Line("pen", 1))) for n in range(5)]
    # Each order counts as one line more than it has, except the last.
    assert [len(part) for part in codec.chunks(baskets, 5)] == [2, 2, 1]
    assert [len(part) for part in codec.chunks(baskets, 4)] == [1, 1, 1, 1, 1]
    assert [len(part) for part in codec.chunks(baskets, 8)] == [3, 2]


def test_items_without_lines_are_split_by_count():
    assert list(codec.slices([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(codec.slices([1, 2], 2)) == [[1, 2]]
    assert list(codec.slices([], 2)) == []
