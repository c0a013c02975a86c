"""Working out the stock from receipts and sales."""

from hypothesis import given
from hypothesis import strategies as st

from inventory_svc.account import Account
from inventory_svc.stock import Line, Listing, Money, Receipt, Sale, Stock

MUG = Listing("mug", "Mug", "A mug.", Money("EUR", 12), 5)


def test_what_came_in_less_what_orders_own_is_available():
    account = Account()
    account.receive(Receipt("r1", "mug", 10))
    account.receive(Receipt("r2", "mug", 5))
    account.take([Line("mug", 4)])
    assert account.stock("mug") == Stock(15, 11, 0, 4)


def test_a_request_brings_units_once_and_the_first_counts():
    account = Account()
    for quantity in (10, 10, 99):
        account.receive(Receipt("r1", "mug", quantity))
    assert account.stock("mug") == Stock(10, 10)
    assert account.receipts["r1"].quantity == 10


def test_a_product_that_never_came_in_has_none():
    assert Account().stock("mug") == Stock()


def test_the_latest_listing_counts_in_whatever_order_they_are_read():
    renamed = Listing("mug", "Big mug", "", Money("EUR", 13), 5)
    for order in ([(MUG, 1), (renamed, 2)], [(renamed, 2), (MUG, 1)]):
        account = Account()
        for listing, at in order:
            account.list_product(listing, at)
        assert account.listings["mug"][0] == renamed


def test_what_is_not_listed_is_told():
    account = Account()
    account.list_product(MUG, 1)
    account.take([Line("mug", 1), Line("unicorn", 1)])
    assert account.strangers() == {"unicorn"}


def test_a_sale_without_prices_gets_the_present_ones():
    account = Account()
    account.list_product(MUG, 1)
    sale = Sale("a", (Line("mug", 1), Line("mug", 1, Money("EUR", 9)), Line("unicorn", 1)))
    assert [line.unit_price for line in account.priced(sale).lines] == [Money("EUR", 12), Money("EUR", 9), None]


@given(st.lists(st.integers(1, 50)), st.lists(st.integers(1, 50)))
def test_units_are_conserved_whatever_happened(came_in, taken):
    account = Account()
    for index, quantity in enumerate(came_in):
        account.receive(Receipt(f"r{index}", "mug", quantity))
    account.take(Line("mug", quantity) for quantity in taken)
    stock = account.stock("mug")
    assert stock.adds_up()
    assert stock.sold + stock.short == sum(taken)
