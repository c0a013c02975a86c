"""Each guarantee is violated once; the verdicts must name exactly that one."""

from dataclasses import replace

import pytest
from shop.orders.v1 import order_pb2

from chaos.buyers import AcknowledgedOrder, Memory
from chaos.guarantees import Facts, verdicts
from chaos.truth import Published, StockNow, StoredOrder

TEA = "products/tea"
CONFIRMED, PENDING = order_pb2.Order.CONFIRMED, order_pb2.Order.PENDING


@pytest.fixture
def facts():
    """Return two orders of one unit, one of them cancelled, without a violation."""
    acknowledged = [
        AcknowledgedOrder("r1", "orders/1", CONFIRMED, {TEA: 1}),
        AcknowledgedOrder("r2", "orders/2", PENDING, {TEA: 1}),
    ]
    return Facts(
        memory=Memory(acknowledged={each.request_id: each for each in acknowledged}, cancelled={"orders/2"}),
        orders={
            "orders/1": StoredOrder("orders/1", "CONFIRMED", 1, {TEA: 1}),
            "orders/2": StoredOrder("orders/2", "CANCELLED", 2, {TEA: 1}),
        },
        events=Published({"orders/1": [1, 1], "orders/2": [1, 2, 1, 2]}),
        stock={TEA: StockNow(on_hand=10, available=9, held=0, sold=1)},
        counted={TEA: 1},
    )


def broken(facts):
    return [verdict.guarantee for verdict in verdicts(facts) if verdict.broken]


def test_a_sound_history_has_no_violation(facts):
    assert broken(facts) == []


def test_a_lost_order_is_a_violation(facts):
    orders = {"orders/2": facts.orders["orders/2"]}
    assert "acknowledged orders are stored" in broken(replace(facts, orders=orders))


def test_a_second_order_for_one_request_is_a_violation(facts):
    facts.memory.doubled.append("orders/1 was answered as orders/3")
    assert broken(facts) == ["one request is one order"]


def test_an_order_with_wrong_lines_is_a_violation(facts):
    facts.orders["orders/2"] = StoredOrder("orders/2", "CANCELLED", 2, {TEA: 2})
    assert broken(facts) == ["one request is one order"]


def test_a_confirmed_order_that_ends_rejected_is_a_violation(facts):
    facts.orders["orders/1"] = StoredOrder("orders/1", "REJECTED", 1, {TEA: 1})
    assert "every order reached a legal state" in broken(facts)


def test_an_order_that_stays_pending_is_a_violation(facts):
    facts.memory.cancelled.clear()
    facts.orders["orders/2"] = StoredOrder("orders/2", "PENDING", 1, {TEA: 1})
    assert broken(facts) == ["every order reached a legal state"]


def test_a_change_without_its_event_is_a_violation(facts):
    facts.events.versions["orders/2"] = [1]
    assert broken(facts) == ["every change is published"]


def test_events_out_of_order_are_a_violation(facts):
    facts.events.versions["orders/2"] = [2, 1]
    assert broken(facts) == ["events of an order are in order"]


def test_stock_that_does_not_add_up_is_a_violation(facts):
    facts.stock[TEA] = StockNow(on_hand=10, available=10, held=0, sold=1)
    assert broken(facts) == ["on hand = available + held + sold"]


def test_oversold_stock_is_a_violation(facts):
    facts.stock[TEA] = StockNow(on_hand=0, available=-1, held=0, sold=1)
    assert broken(facts) == ["on hand = available + held + sold"]


def test_stock_sold_without_an_order_is_a_violation(facts):
    facts.stock[TEA] = StockNow(on_hand=10, available=8, held=0, sold=2)
    assert broken(facts) == ["sold units match the orders"]


def test_a_leaked_hold_is_a_violation(facts):
    facts.stock[TEA] = StockNow(on_hand=10, available=8, held=1, sold=1)
    assert broken(facts) == ["sold units match the orders"]


def test_a_buyer_without_a_response_is_a_violation(facts):
    facts.memory.given_up.append("r3: UNAVAILABLE")
    assert broken(facts) == ["every buyer got a final response"]


def test_a_replay_or_cancel_without_a_response_is_a_violation(facts):
    facts.memory.unanswered.append("orders/1 placed again: UNAVAILABLE")
    assert broken(facts) == ["every buyer got a final response"]


def test_a_gap_longer_than_the_recovery_limit_is_a_violation(facts):
    facts.memory.acknowledge(AcknowledgedOrder("r1", "orders/1", CONFIRMED, {TEA: 1}), at_s=10.0)
    facts.memory.acknowledge(AcknowledgedOrder("r2", "orders/2", PENDING, {TEA: 1}), at_s=129.0)
    assert broken(facts) == []
    facts.memory.acknowledge(AcknowledgedOrder("r1", "orders/1", CONFIRMED, {TEA: 1}), at_s=250.0)
    assert broken(facts) == ["no gap in acknowledged orders of more than 120 s"]


@pytest.mark.parametrize("counted", [{}, {TEA: 2}, {TEA: 1, "products/pot": 1}])
def test_a_wrong_count_of_sold_units_is_a_violation(facts, counted):
    assert broken(replace(facts, counted=counted)) == ["the count of sold units matches the orders"]
