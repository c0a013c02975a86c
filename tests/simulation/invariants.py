"""
What must hold at every step of a run, and in the end.

At each commit of the orders' database, at each script of Redis and at each record of Kafka they look at what has
changed: no order lost, none twice, no illegal move; no unit sold twice; each event's effect exactly once.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order

from inventory_svc.entries import usable
from inventory_svc.scripts import EVENTS, MARKER
from inventory_svc.stock import Receipt
from inventory_svc.topics import DEAD_EVENTS, LEDGER, ORDER_EVENTS
from orders_svc.order import ERASED, NEXT, State
from orders_svc.topics import DEAD_ORDERS
from runtime.caller import customer_name
from runtime.messaging.message import Message
from tests.simulation.plan import PRODUCTS

if TYPE_CHECKING:
    from tests.simulation.kafka import Raw
    from tests.simulation.redis_data import Data
    from tests.simulation.tables import Row
    from tests.simulation.world import World

NOBODY = customer_name(ERASED)
NUMBERS = ("on_hand", "available", "held", "sold", "short")


class Violated(Exception):
    """Something that must hold does not."""


class Invariants:
    """Watches a world's stores; the first thing that is wrong is kept in *violation*."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violation: str | None = None
        self.acknowledged: dict[str, tuple[Any, int, bytes]] = {}
        self.restocked: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._receipts: set[str] = set()
        self._published: dict[str, int] = {}
        self._told_of_erasure: set[str] = set()
        self._effects: dict[tuple[str, str], str] = {}
        self._owned_at: dict[int, set[str]] = {0: set()}
        world.postgres.tables.on_order = self.saw_order
        world.postgres.tables.on_generation = self.saw_generation
        world.redis.data.on_event = self.saw_effect
        world.redis.after_script = self.saw_stock
        world.kafka.on_append = self.saw_record

    def fail(self, problem: str) -> None:
        """
        Note that something is wrong; the run ends with this step.
        """
        if self.violation is None:
            self.violation = problem
            self._world.trace.note("INVARIANT", problem)

    def saw_order(self, before: Row | None, after: Row) -> None:
        """
        An order is made or moved in a legal way, and no more is sold than came in.
        """
        name, state = after["order_id"], State(after["state"])
        if after["customer"] == ERASED:
            self._saw_erasure(before, after)
            return
        if before is None:
            if name in self._world.postgres.tables.archived:
                self.fail(f"order {name} is placed, and is in the archive")
            if state not in (State.PENDING, State.CONFIRMED) or after["version"] != 1:
                self.fail(f"order {name} begins as {state}, version {after['version']}")
        elif state not in NEXT.get(State(before["state"]), ()) or after["version"] != before["version"] + 1:
            self.fail(f"order {name} goes from {before['state']} {before['version']} to {state} {after['version']}")
        self._saw_fence(before, after)
        for product, units in self._world.postgres.tables.sold.items():
            if units > self._received[product.removeprefix("products/")]:
                self.fail(f"{units} {product} are sold, {self._received[product.removeprefix('products/')]} came in")

    def _saw_erasure(self, before: Row | None, after: Row) -> None:
        """
        Of an order whose customer is erased nothing else changes, and it is final.
        """
        if before is None or {**before, "customer": ERASED} != after or NEXT.get(State(after["state"])):
            self.fail(f"erased of its customer, order {after['order_id']} goes from {before} to {after}")

    def _saw_fence(self, before: Row | None, after: Row) -> None:
        """
        What orders own changes only in the stock generation that counts at that moment: a rebuild counts it or not.
        """
        cancelled = before is not None and before["state"] == State.CONFIRMED and after["state"] == State.CANCELLED
        present = self._world.postgres.tables.generation
        if (cancelled or after["state"] == State.CONFIRMED) and after["generation"] != present:
            self.fail(
                f"order {after['order_id']} is {after['state']} in generation {after['generation']}, not {present}"
            )

    def saw_record(self, raw: Raw) -> None:
        """
        Each version of an order is published after the one before it.
        """
        if raw.topic() == LEDGER.name:
            message = Message(raw.topic(), 0, raw.offset(), raw.key(), raw.value(), {}, raw.at_ms)
            entry = usable(message)
            if isinstance(entry, Receipt) and entry.request not in self._receipts:
                self._receipts.add(entry.request)
                self._received[entry.product] += entry.quantity
        elif raw.topic() == ORDER_EVENTS:
            event = OrderEvent.FromString(raw.value() or b"")
            order = event.order
            if event.HasField("customer_erase_time"):
                self._told_of_erasure.add(order.name)
            last = self._published.get(order.name, 0)
            if order.version > last + 1:
                self.fail(f"version {order.version} of {order.name} is published after version {last}")
            self._published[order.name] = max(last, order.version)
        elif raw.topic() in (DEAD_EVENTS.name, DEAD_ORDERS):
            self.fail(f"a dead letter: {dict(raw.record.headers)}")

    def saw_generation(self, generation: int, owners: set[str]) -> None:
        """
        A stock generation begins, in which *owners* own their units already.
        """
        self._owned_at[generation] = owners

    def saw_effect(self, entry: str, fields: dict[str, str]) -> None:
        """
        An order's units are taken once, sold once, and given back once, in each generation.
        """
        generation, _, _ = entry.partition("-")
        kind, order = fields["kind"], fields["hold"]
        if kind == "short":
            self.fail(f"more is sold than there is: {fields['changes']}")
        if kind not in ("held", "committed", "released"):
            return
        place = (generation, order)
        before = self._effects.get(place, "")
        if not before and order in self._owned_at.get(int(generation), ()):
            before = "committed"
        allowed = {"": ("held", "committed"), "held": ("committed", "released"), "committed": ("released", "held"),
                   "released": ("held", "committed")}  # fmt: skip
        if kind not in allowed[before]:
            self.fail(f"order {order} of generation {generation} is {kind} after it was {before or 'nothing'}")
        if before == "committed" and kind == "held":
            # A stray hold of an order that a rebuild has counted: its own units stay sold.
            return
        self._effects[place] = kind

    def saw_stock(self, data: Data) -> None:
        """
        Units are conserved, none is below zero, and what is held is what the open holds hold.
        """
        prefix = (data.keys.get(MARKER) or {}).get("prefix")
        if prefix is None:
            return
        held: Counter[str] = Counter()
        for key, value in data.keys.items():
            if key.startswith(f"{prefix}hold:"):
                for product, quantity, *_ in json.loads(value.get("lines", "[]")):
                    held[product] += quantity
        for product in data.keys.get(f"{prefix}products", ()):
            numbers = {name: int(data.keys[f"{prefix}product:{product}"][name]) for name in NUMBERS}
            parts = numbers["available"] + numbers["held"] + numbers["sold"]
            if min(numbers.values()) < 0 or numbers["on_hand"] != parts or numbers["held"] != held[product]:
                self.fail(f"{product} does not add up: {numbers}, open holds {held[product]}")

    def saw_answer(self, request: str, order: Any, version: int, snapshot: bytes) -> None:
        """
        What a customer is told is stored, and a repeat is told the same.
        """
        stored = self._world.postgres.tables.every_change().get((order, version))
        if stored is None or not same(stored["snapshot"], snapshot):
            self.fail(f"{request} was told of order {order} version {version}, which is not stored")
        first = self.acknowledged.setdefault(request, (order, version, snapshot))
        if first[:2] != (order, version) or not same(first[2], snapshot):
            self.fail(f"{request} was answered with version {first[1]} and then with version {version}")

    def pending(self) -> list[str]:
        """
        Return what is still on its way.
        """
        world = self._world
        left = [f"order {row['order_id']} is PENDING" for row in world.postgres.tables.orders.values()
                if row["state"] == State.PENDING]  # fmt: skip
        if world.postgres.tables.outbox:
            left.append(f"{len(world.postgres.tables.outbox)} rows in the outbox")
        if world.kafka.lag():
            left.append(f"{world.kafka.lag()} records not consumed: {world.kafka.lagging()}")
        data = world.redis.data
        stream = data.keys.get(EVENTS)
        if stream is not None and stream.entries:
            left.append(f"{len(stream.entries)} stock events not published")
        left += [f"{key} is open" for key in data.keys if ":hold:" in key]
        return left + self._differences(data)

    def _differences(self, data: Data) -> list[str]:
        prefix = (data.keys.get(MARKER) or {}).get("prefix", "")
        left = []
        for product in PRODUCTS:
            found = data.keys.get(f"{prefix}product:{product}")
            numbers = {name: int(found[name]) for name in NUMBERS} if found else dict.fromkeys(NUMBERS, 0)
            sold, came = self._world.postgres.tables.sold[f"products/{product}"], self._received[product]
            wanted = {"on_hand": came, "available": came - sold, "held": 0, "sold": sold, "short": 0}
            if numbers != wanted:
                left.append(f"{product} is {numbers}, should be {wanted}")
        return left

    def in_the_end(self) -> None:
        """
        Nothing that was acknowledged is lost, each order is published whole, and nothing unexpected was raised.
        """
        tables = self._world.postgres.tables
        orders, changes = tables.every_order(), tables.every_change()
        for request, (order, version, snapshot) in self.acknowledged.items():
            change = changes.get((order, version))
            if order not in orders or change is None or not same(change["snapshot"], snapshot):
                self.fail(f"{request} was acknowledged, and order {order} version {version} is lost")
        for order, row in orders.items():
            if self._published.get(f"orders/{order}", 0) != row["version"]:
                self.fail(f"order {order} has version {row['version']}, published is {self._published}")
            self._erased_in_the_end(order, row["customer"])
        for product, units in self.restocked.items():
            if self._received[product] < PRODUCTS[product] + units:
                self.fail(f"{units} {product} were acknowledged to have come in, and are lost")
        if self._world.trace.faults:
            self.fail(f"unexpected: {self._world.trace.faults[0]}")

    def _erased_in_the_end(self, order: Any, customer: str) -> None:
        """
        Consumers are told of exactly the orders whose customer is erased, and no version of those names them.
        """
        erased = customer == ERASED
        if erased != (f"orders/{order}" in self._told_of_erasure):
            self.fail(f"order {order} is of {customer!r}, and consumers are told otherwise")
        for (of, version), change in self._world.postgres.tables.every_change().items():
            if of == order and (Order.FromString(change["snapshot"]).customer == NOBODY) != erased:
                self.fail(f"order {order} is of {customer!r}, but its version {version} is not")


def same(one: bytes, other: bytes) -> bool:
    """
    Return whether two answers are the same version of an order, of which one may be from after an erasure.
    """
    if one == other:
        return True
    orders = [Order.FromString(each) for each in (one, other)]
    erased = NOBODY in (each.customer for each in orders)
    for each in orders:
        each.customer = ""
    return erased and orders[0] == orders[1]
