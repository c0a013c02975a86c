"""The guarantees, each a function that finds violations in what buyers were told and in the final state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shop.orders.v1 import order_pb2

from chaos.buyers import AcknowledgedOrder, Memory
from chaos.truth import Published, StockNow, StoredOrder, taken_by

# The states that an order may have reached, by the state that its buyer was told first.
MAY_BE: dict[int, set[str]] = {
    order_pb2.Order.PENDING: {"CONFIRMED", "REJECTED", "CANCELLED", "FULFILLED"},
    order_pb2.Order.CONFIRMED: {"CONFIRMED", "CANCELLED", "FULFILLED"},
}
MAX_SHOWN = 5
# The guaranteed time to recovery.
SILENCE_LIMIT_S = 120


@dataclass(frozen=True)
class Verdict:
    """A guarantee, how much was checked, and all violations."""

    guarantee: str
    checked: int
    broken: list[str]


@dataclass(frozen=True)
class Facts:
    """The input of all guarantees."""

    memory: Memory
    orders: Mapping[str, StoredOrder]
    events: Published
    stock: Mapping[str, StockNow]
    counted: Mapping[str, int]


def verdicts(facts: Facts) -> list[Verdict]:
    """
    Return a verdict for each guarantee.
    """
    return [*kept(facts), _orders_flowed_again(facts)]


def kept(facts: Facts) -> list[Verdict]:
    """
    Return a verdict for each guarantee except the recovery time, for faults that last longer.
    """
    return [
        _acknowledged_is_stored(facts),
        _nothing_is_doubled(facts),
        _orders_end_as_they_may(facts),
        _stored_is_published(facts),
        _events_are_in_order(facts),
        _stock_adds_up(facts),
        _sold_is_what_orders_took(facts),
        _counted_is_what_orders_took(facts),
        _buyers_were_answered(facts),
    ]


def _acknowledged_is_stored(facts: Facts) -> Verdict:
    acknowledged = facts.memory.acknowledged.values()
    lost = [each.name for each in acknowledged if each.name not in facts.orders]
    return Verdict("acknowledged orders are stored", len(acknowledged), lost)


def _nothing_is_doubled(facts: Facts) -> Verdict:
    """
    Check that each request is one order with the requested lines, and that every replay got its response.
    """
    acknowledged = facts.memory.acknowledged
    names = [each.name for each in acknowledged.values()]
    broken = list(facts.memory.doubled)
    if len(set(names)) != len(names):
        broken.append(f"{len(names) - len(set(names))} requests share an order")
    broken += [each.name for each in acknowledged.values() if _lines_differ(facts, each)]
    return Verdict("one request is one order", len(acknowledged), broken)


def _lines_differ(facts: Facts, order: AcknowledgedOrder) -> bool:
    stored = facts.orders.get(order.name)
    return stored is not None and stored.quantities != order.quantities


def _orders_end_as_they_may(facts: Facts) -> Verdict:
    broken = []
    for order in facts.memory.acknowledged.values():
        stored = facts.orders.get(order.name)
        if stored is None:
            continue
        if stored.state not in _allowed(facts, order):
            broken.append(f"{order.name} is {stored.state}")
    return Verdict("every order reached a legal state", len(facts.memory.acknowledged), broken)


def _allowed(facts: Facts, order: AcknowledgedOrder) -> set[str]:
    if order.name in facts.memory.cancelled:
        return {"CANCELLED"}
    return MAY_BE[order.state]


def _stored_is_published(facts: Facts) -> Verdict:
    broken = [
        f"{order.name} lacks an event of versions 1 to {order.version}"
        for order in facts.orders.values()
        if not set(range(1, order.version + 1)) <= set(facts.events.versions.get(order.name, ()))
    ]
    if facts.events.unreadable:
        broken.append(f"{facts.events.unreadable} events are unreadable")
    return Verdict("every change is published", len(facts.orders), broken)


def _events_are_in_order(facts: Facts) -> Verdict:
    broken = [name for name, seen in facts.events.versions.items() if not _in_order(seen)]
    return Verdict("events of an order are in order", len(facts.events.versions), broken)


def _in_order(versions: list[int]) -> bool:
    """
    Return whether the first occurrence of every version follows all lower ones; repeats may come at any time.
    """
    highest = 0
    for version in versions:
        if version > highest + 1:
            return False
        highest = max(highest, version)
    return True


def _stock_adds_up(facts: Facts) -> Verdict:
    broken = [
        f"{name}: {s}"
        for name, s in facts.stock.items()
        if s.on_hand != s.available + s.held + s.sold or min(s.available, s.held, s.sold) < 0
    ]
    return Verdict("on hand = available + held + sold", len(facts.stock), broken)


def _sold_is_what_orders_took(facts: Facts) -> Verdict:
    taken = taken_by(facts.orders.values())
    broken = [
        f"{name}: sold {s.sold} and held {s.held}, but orders own {taken[name]}"
        for name, s in facts.stock.items()
        if (s.sold, s.held) != (taken[name], 0)
    ]
    return Verdict("sold units match the orders", len(facts.stock), broken)


def _counted_is_what_orders_took(facts: Facts) -> Verdict:
    """
    Check that the sold units that a rebuild would use match the orders.
    """
    taken, counted = taken_by(facts.orders.values()), facts.counted
    products = taken.keys() | counted.keys()
    broken = [
        f"{name}: {counted.get(name, 0)} are counted, but orders own {taken[name]}"
        for name in sorted(products)
        if counted.get(name, 0) != taken[name]
    ]
    return Verdict("the count of sold units matches the orders", len(products), broken)


def _buyers_were_answered(facts: Facts) -> Verdict:
    broken = [*facts.memory.given_up, *facts.memory.unanswered]
    return Verdict("every buyer got a final response", facts.memory.ended, broken)


def _orders_flowed_again(facts: Facts) -> Verdict:
    silence_s = facts.memory.longest_silence_s
    broken = [f"no order was acknowledged for {silence_s:.0f} s"] if silence_s > SILENCE_LIMIT_S else []
    return Verdict(
        f"no gap in acknowledged orders of more than {SILENCE_LIMIT_S} s", len(facts.memory.acknowledged), broken
    )
