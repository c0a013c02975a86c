"""Discrepancies between orders and stock, from the numbers alone."""

from datetime import UTC, datetime

import pytest

from orders_svc import discrepancies
from orders_svc.discrepancies import Kind, Report, StockSeen, judge, units_of
from orders_svc.order import Order
from tests.support.orders_port_suite import draft


def seen(on_hand, available, held, sold):
    return StockSeen("tea", on_hand, available, held, sold)


@pytest.mark.parametrize(
    ("stock", "before", "after", "wrong"),
    [
        (seen(10, 5, 3, 2), 2, 2, None),
        (seen(0, 0, 0, 0), 0, 0, None),
        (seen(10, 5, 3, 3), 2, 2, Kind.STOCK_NOT_CONSERVED),
        (seen(10, 5, 2, 2), 2, 2, Kind.STOCK_NOT_CONSERVED),
        (seen(10, -1, 6, 5), 5, 5, Kind.STOCK_NOT_CONSERVED),
        (seen(10, 6, -1, 5), 5, 5, Kind.STOCK_NOT_CONSERVED),
        (seen(10, 6, 5, -1), 0, 0, Kind.STOCK_NOT_CONSERVED),
        (seen(10, 0, 0, 10), 10, 10, None),
        (seen(10, 0, 0, 10), 11, 12, Kind.STOCK_SHORT),
        # An order whose commit is still to be processed: its units are held.
        (seen(10, 5, 3, 2), 5, 5, None),
        (seen(10, 5, 3, 2), 6, 6, Kind.STOCK_DIFFERS),
        (seen(10, 5, 3, 2), 1, 1, Kind.STOCK_DIFFERS),
        # Orders were confirmed or cancelled during the read.
        (seen(10, 5, 0, 5), 3, 5, None),
        (seen(10, 5, 0, 5), 5, 3, None),
        (seen(10, 5, 0, 5), 6, 9, Kind.STOCK_DIFFERS),
        (seen(10, 5, 0, 5), 1, 4, Kind.STOCK_DIFFERS),
    ],
)
def test_stock_may_be_anything_between_the_owned_units_before_and_after(stock, before, after, wrong):
    found = judge(stock, {"tea": before}, {"tea": after})
    assert (found and found[0]) == wrong


def test_units_not_owned_by_orders_may_not_be_sold():
    assert judge(seen(5, 5, 0, 0), {}, {}) is None
    assert judge(seen(5, 4, 0, 1), {}, {})[0] is Kind.STOCK_DIFFERS


def test_discrepancies_have_their_numbers():
    assert "10" in judge(seen(10, 5, 3, 3), {}, {})[1]
    assert "11 available, held and sold" in judge(seen(10, 5, 3, 3), {}, {})[1]


def test_differences_are_counted_and_the_first_listed(monkeypatch):
    monkeypatch.setattr(discrepancies, "MAX_REPORTED", 3)
    report = Report()
    assert (report.orders, report.holds, report.repaired, report.unrepaired) == (0, 0, 0, 0)
    for number in range(5):
        report.add(Kind.STOCK_SHORT, f"products/{number}", "short", repaired=number % 2 == 0)
    assert (report.repaired, report.unrepaired) == (3, 2)
    assert [each.subject for each in report.discrepancies] == ["products/0", "products/1", "products/2"]
    assert [each.repaired for each in report.discrepancies] == [True, False, True]


def test_an_orders_units_are_the_sum_of_its_lines():
    wanted = draft(quantity=3)
    order = Order.pending(wanted, datetime(2026, 1, 1, tzinfo=UTC))
    assert units_of(order) == {wanted.lines[0].product: 3}
