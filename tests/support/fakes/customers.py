"""A fake of the port of what is stored about customers, over the orders of `FakeOrders`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shop.orders.v1 import events_pb2, order_pb2

from orders_svc import rows, wire
from orders_svc.operations_ports import CustomerRecords, Remembered, StoredCounts, Version
from orders_svc.order import ERASED, Order
from orders_svc.topics import ORDER_EVENTS, PENDING_ORDERS
from runtime.caller import customer_name
from runtime.messaging.message import Record
from tests.support.fakes.orders import FakeOrders

KINDS: dict[str, type[events_pb2.OrderEvent | events_pb2.PendingOrder]] = {
    ORDER_EVENTS: events_pb2.OrderEvent,
    PENDING_ORDERS: events_pb2.PendingOrder,
}


class FakeCustomers:
    """The port `CustomerRecords` without a database."""

    def __init__(self, kept: FakeOrders) -> None:
        self.kept = kept

    async def stored(self, customer: str) -> StoredCounts:
        final = [order.final for order in self._of(customer)]
        return StoredCounts(final.count(False), final.count(True), len(self._keys(customer)))

    async def open(self, customer: str) -> int:
        return (await self.stored(customer)).open

    async def orders(self, customer: str, *, before: tuple[datetime, uuid.UUID], limit: int) -> list[Order]:
        older = [each for each in self._of(customer) if (each.create_time, each.id) < before]
        return sorted(older, key=lambda each: (each.create_time, each.id), reverse=True)[:limit]

    async def customers_of(self, order_ids: Sequence[uuid.UUID]) -> dict[str, uuid.UUID]:
        found = {self.kept.orders[each].customer: each for each in order_ids if each in self.kept.orders}
        return {customer: order for customer, order in found.items() if customer != ERASED}

    async def versions_of(self, order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Version]]:
        versions: dict[uuid.UUID, list[Version]] = {each: [] for each in order_ids}
        for (order_id, number), snapshot in sorted(self.kept.history.items()):
            if order_id in versions:
                versions[order_id].append(Version(number, snapshot, "", ""))
        return versions

    async def requests(self, customer: str, *, after: str, limit: int) -> list[Remembered]:
        return [self._request(*key) for key in self._keys(customer) if key[1] > after][:limit]

    async def erase_orders(self, customer: str, *, at: datetime, limit: int) -> int:
        final = [order for order in self._of(customer) if order.final][:limit]
        for order in final:
            self._give_to_nobody(order, at)
        return len(final)

    async def erase_requests(self, customer: str, *, limit: int) -> int:
        keys = self._keys(customer)[:limit]
        for key in keys:
            del self.kept.keys[key]
        return len(keys)

    def _give_to_nobody(self, order: Order, at: datetime) -> None:
        erased = replace(order, customer=ERASED)
        self.kept.orders[order.id] = erased
        for place, snapshot in self.kept.history.items():
            if place[0] == order.id:
                before = wire.order(order_pb2.Order.FromString(snapshot))
                self.kept.history[place] = rows.snapshot_of(replace(before, customer=ERASED))
        key = str(order.id).encode()
        self.kept.events = [_of_nobody(each) if each.key == key else each for each in self.kept.events]
        event = wire.customer_erased(erased, at).SerializeToString()
        self.kept.events.append(Record(ORDER_EVENTS, key, event, {}))

    def _of(self, customer: str) -> list[Order]:
        return [order for order in self.kept.orders.values() if order.customer == customer]

    def _keys(self, customer: str) -> list[tuple[str, str]]:
        return sorted(key for key in self.kept.keys if key[0] == customer)

    def _request(self, customer: str, request_id: str) -> Remembered:
        order = order_pb2.Order.FromString(self.kept.keys[customer, request_id].answer.snapshot)
        answered = order.update_time.ToDatetime(UTC)
        return Remembered(request_id, wire.order_id(order.name), order.version, answered)


def _of_nobody(record: Record) -> Record:
    event = KINDS[record.topic].FromString(record.value or b"")
    event.order.customer = customer_name(ERASED)
    return replace(record, value=event.SerializeToString())


if TYPE_CHECKING:
    _CUSTOMERS: CustomerRecords = FakeCustomers(FakeOrders())
