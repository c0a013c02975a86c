"""The rules of baskets and stock, and the details of their errors."""

import pytest
from buf.validate import validate_pb2
from shop.inventory.v1.inventory_service_pb2 import HoldStockRequest

from inventory_svc.refusals import BacklogFull, HoldGone, OutOfStock, Rebuilding, UnknownProducts
from inventory_svc.stock import JUST_NOW_MS, MAX_LINES, Basket, Line, Return, Sale, Stock
from runtime.errors import InvalidArgument


def test_a_basket_is_not_empty():
    with pytest.raises(InvalidArgument) as refused:
        Basket("a", ())
    assert refused.value.fields[0].field == "lines"


def test_a_basket_has_a_limit():
    lines = [Line(f"p{index}", 1) for index in range(MAX_LINES + 1)]
    Basket("a", tuple(lines[:-1]))
    with pytest.raises(InvalidArgument):
        Basket("a", tuple(lines))


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_line_has_at_least_one_unit(quantity):
    with pytest.raises(InvalidArgument) as refused:
        Basket("a", (Line("mug", 1), Line("pen", quantity)))
    assert refused.value.fields[0].field == "lines[1].quantity"


def test_a_product_is_on_one_line_only():
    with pytest.raises(InvalidArgument) as refused:
        Basket("a", (Line("mug", 1), Line("mug", 2)))
    assert refused.value.fields[0].field == "lines[1].product"


def test_insufficient_stock_names_each_line_with_requested_and_available_units():
    refusal = OutOfStock("a", [(Line("mug", 5), 3), (Line("pen", 2), 0)])
    assert [each.subject for each in refusal.violations] == ["products/mug", "products/pen"]
    assert refusal.violations[0].description == "5 wanted, 3 available"
    assert refusal.metadata["products"] == "products/mug, products/pen"


def test_an_unknown_product_is_named_by_its_line():
    refusal = UnknownProducts([(2, "unicorn")])
    assert refusal.reason == "UNKNOWN_PRODUCT"
    assert refusal.fields[0].field == "lines[2].product"


@pytest.mark.parametrize(
    ("stock", "adds_up"),
    [
        (Stock(10, 5, 3, 2), True),
        (Stock(10, 5, 3, 3), False),
        (Stock(10, -1, 8, 3), False),
        (Stock(10, 0, 0, 10, short=2), True),
        (Stock(10, 0, 0, 10, short=-2), False),
    ],
)
def test_units_are_conserved(stock, adds_up):
    assert stock.adds_up() is adds_up


def test_the_line_limit_is_that_of_the_contract():
    rules = HoldStockRequest.DESCRIPTOR.fields_by_name["lines"].GetOptions().Extensions[validate_pb2.field]
    assert rules.repeated.max_items == MAX_LINES


def test_the_maximum_time_is_the_largest_exact_integer_in_lua():
    assert float(JUST_NOW_MS) + 1 == float(JUST_NOW_MS)
    assert float(JUST_NOW_MS) - 1 != float(JUST_NOW_MS)


def test_the_generation_of_commits_and_releases_is_optional():
    assert Sale("a", ()).generation == Return("a").generation == Return("a").held_in == 0


def test_transient_errors_have_a_retry_delay():
    assert HoldGone("a").metadata == {"hold": "holds/a"}
    for refusal in (Rebuilding(), BacklogFull()):
        assert refusal.retry_after_s
        assert refusal.message
