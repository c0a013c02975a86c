"""Amounts are exact, and different currencies cannot be added."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.money import MAX_UNITS, NANOS, MixedCurrencies, Money, TotalTooLarge
from runtime.money_message import money, money_message

amounts = st.builds(Money, st.just("EUR"), st.integers(-(10**27), 10**27))


def test_an_amount_is_built_from_units_and_nanos():
    assert Money.of("EUR", 12, 500_000_000) == Money("EUR", 12_500_000_000)
    assert Money.of("EUR", 3) == Money("EUR", 3 * NANOS)


@pytest.mark.parametrize(
    ("nanos", "parts"),
    [(0, (0, 0)), (1, (0, 1)), (-1, (0, -1)), (1_999_999_999, (1, 999_999_999)), (-2_500_000_000, (-2, -500_000_000))],
)
def test_units_and_nanos_have_the_same_sign(nanos, parts):
    assert Money("EUR", nanos).split() == parts


@given(amounts)
def test_an_amount_survives_the_round_trip(amount):
    assert Money.of("EUR", *amount.split()) == amount


def test_a_price_is_multiplied_exactly():
    one = Money.of("EUR", 1, 250_000_000)
    assert one * 3 == one + one + one == Money.of("EUR", 3, 750_000_000)


def test_different_currencies_cannot_be_added():
    with pytest.raises(MixedCurrencies) as refused:
        Money.of("EUR", 1) + Money.of("USD", 1)
    assert refused.value.metadata == {"currencies": "EUR, USD"}
    assert refused.value.message == "EUR, USD in one order"
    assert TotalTooLarge().message


def test_the_largest_amount_is_that_of_the_message():
    most = Money.of("EUR", MAX_UNITS, NANOS - 1)
    assert money(money_message(most)) == most
    with pytest.raises(ValueError, match="out of range"):
        money_message(Money.of("EUR", MAX_UNITS + 1))


def test_a_message_has_currency_units_and_nanos():
    message = money_message(Money.of("EUR", -1, -5))
    assert (message.currency_code, message.units, message.nanos) == ("EUR", -1, -5)
