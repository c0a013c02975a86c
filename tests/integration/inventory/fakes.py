"""What inventory asks others for, in memory."""

import uuid

from google.protobuf.timestamp_pb2 import Timestamp
from shop.inventory.v1.events_pb2 import LedgerEntry

from inventory_svc import translate
from inventory_svc.orders import Allocations
from inventory_svc.scripts import Position
from runtime import errors


class FakeOrders:
    """The orders' table: what is confirmed or fulfilled, by order."""

    def __init__(self):
        self.generation = 0
        self.confirmed = {}
        self.fulfilled = {}
        self.down = False

    async def start_generation(self, request_id):
        self._answer()
        self.generation += 1
        return self.generation

    async def allocations(self):
        self._answer()
        yield Allocations(tuple(self.confirmed.values()))
        lines = [line for sale in self.fulfilled.values() for line in sale.lines]
        yield Allocations((), tuple(lines))

    async def owners(self, orders, *, generation):
        self._answer()
        owned = {**self.confirmed, **self.fulfilled}
        return {order for order in orders if order in owned and owned[order].generation >= generation}

    def _answer(self):
        if self.down:
            raise errors.Unavailable("orders do not answer")


class FakeLedger:
    """The ledger's topic as a list."""

    def __init__(self):
        self.entries = []
        self.published = Position(0)
        self.down = False

    async def record_receipts(self, receipts):
        self._answer()
        self.entries += [translate.receipt_entry(each, 1) for each in receipts]

    async def record_listings(self, listings, at_ms):
        self._answer()
        self.entries += [translate.listing_entry(each, at_ms) for each in listings]

    async def record_rebuild(self, generation):
        self._answer()
        entry = LedgerEntry(occur_time=Timestamp())
        entry.rebuild.generation = generation
        self.entries.append(entry)

    async def read(self, *, limit_s=0):
        self._answer()
        return list(self.entries)

    async def last_position(self, *, limit_s=0):
        self._answer()
        generations = [each.rebuild.generation for each in self.entries if each.HasField("rebuild")]
        return max(Position(max(generations, default=0)), self.published)

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
