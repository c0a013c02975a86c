"""What inventory asks others for, in memory."""

import uuid
from collections import Counter

from inventory_svc import wire
from inventory_svc.entries import usable
from inventory_svc.generation import Position
from inventory_svc.ports import Started
from runtime import errors
from runtime.messaging.message import Message


class FakeOrders:
    """The orders' table: what is confirmed or fulfilled, by order."""

    def __init__(self):
        self.present = 0
        self.confirmed = {}
        self.fulfilled = {}
        self.down = False
        self.before_start = None

    async def start_generation(self, *, above):
        self._answer()
        if self.before_start:
            await self.before_start()
        self.present = max(self.present, above) + 1
        return Started(self.present, self.owned())

    async def generation(self):
        self._answer()
        return self.present

    async def owners(self, orders, *, generation):
        self._answer()
        owned = {**self.confirmed, **self.fulfilled}
        return {order for order in orders if order in owned and owned[order].generation >= generation}

    def owned(self):
        total = Counter()
        for sale in [*self.confirmed.values(), *self.fulfilled.values()]:
            for line in sale.lines:
                total[line.product] += line.quantity
        return total

    def _answer(self):
        if self.down:
            raise errors.Unavailable("orders do not answer")


class FakeLedger:
    """The ledger's topic as a list."""

    def __init__(self):
        self.messages = []
        self.published = Position(0)
        self.down = False
        self.before_end = None

    async def record_receipts(self, receipts):
        self._answer()
        for each in receipts:
            self.append(wire.receipt_entry(each, 1).SerializeToString())

    async def record_listings(self, listings, at_ms):
        self._answer()
        for each in listings:
            self.append(wire.listing_entry(each, at_ms).SerializeToString())

    def append(self, value):
        self.messages.append(Message("stock_ledger", 0, len(self.messages), b"", value, {}, 0))

    async def read(self):
        self._answer()
        read = [entry for each in list(self.messages) if (entry := usable(each)) is not None]
        if self.before_end:
            await self.before_end()
        return read

    async def last_position(self):
        self._answer()
        return self.published

    def _answer(self):
        if self.down:
            raise errors.Unavailable("Kafka does not answer")


class FakePublisher:
    """Kafka as a list; *refuses* says what becomes of a record."""

    def __init__(self):
        self.records = []
        self.refuses = lambda record: None

    async def publish_each(self, records):
        outcomes = [self.refuses(record) for record in records]
        self.records += [record for record, outcome in zip(records, outcomes, strict=True) if outcome is None]
        return outcomes

    async def publish(self, records):
        for outcome in await self.publish_each(records):
            if outcome is not None:
                raise outcome


def order_id():
    return str(uuid.uuid4())
