"""Entries of the ledger and stock events, as messages."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.inventory.v1.events_pb2 import LedgerEntry, StockEvent

from inventory_svc import catalogue, ledger, wire
from inventory_svc.entries import UNUSABLE, usable
from inventory_svc.generation import Position
from inventory_svc.ledger_follower import LedgerEntries
from inventory_svc.refusals import TooManyProducts, UnknownProduct
from inventory_svc.stock import Receipt
from inventory_svc.topics import LEDGER
from runtime import errors
from runtime.errors import Unavailable
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.message import Message


def test_compaction_keeps_each_receipt_and_the_last_listing_of_a_product():
    receipts = [Receipt("ada r", "mug", 1), Receipt("ada r", "mug", 2), Receipt("bob r", "mug", 1)]
    assert len({ledger.key(wire.receipt_entry(each, 1)) for each in receipts}) == 3
    listing = catalogue.LISTINGS[0]
    assert ledger.key(wire.listing_entry(listing, 1)) == ledger.key(wire.listing_entry(listing, 2))


def test_entries_survive_the_round_trip():
    for listing in catalogue.LISTINGS:
        assert wire.listing(wire.listing_entry(listing, 1).listing) == listing
    for receipt in catalogue.RECEIPTS:
        assert wire.receipt(wire.receipt_entry(receipt, 1).receipt) == receipt


def message(entry):
    value = entry if isinstance(entry, bytes) else entry.SerializeToString()
    return Message("stock_ledger", 0, 7, b"key", value, {}, 0)


def listed(**changes):
    """Return a listing with one invalid field."""
    entry = wire.listing_entry(catalogue.LISTINGS[0], 1)
    for path, value in changes.items():
        *way, last = path.split("__")
        target = entry
        for name in way:
            target = getattr(target, name)
        setattr(target, last, value)
    return entry


def received(**changes):
    entry = wire.receipt_entry(catalogue.RECEIPTS[0], 1)
    for name, value in changes.items():
        setattr(entry.receipt, name, value)
    return entry


def test_a_valid_entry_is_parsed():
    assert usable(message(listed())) == (catalogue.LISTINGS[0], 1)
    assert usable(message(received())) == catalogue.RECEIPTS[0]


BAD = {
    "no value": b"",
    "garbage": b"\xff\xff",
    "nothing in it": LedgerEntry(),
    "a time before all times": listed(occur_time__seconds=-1),
    "a time after all times": listed(occur_time__seconds=10**15),
    "nanoseconds that are none": listed(occur_time__nanos=-1),
    "no name": listed(listing__product__name=""),
    "a name with a space": listed(listing__product__name="products/a mug"),
    "a name that is a path": listed(listing__product__name="products/../mug"),
    "a name of 64 letters": listed(listing__product__name="products/" + "a" * 64),
    "a long display name": listed(listing__product__display_name="a" * 257),
    "a long description": listed(listing__product__description="a" * 4097),
    "a negative threshold": listed(listing__low_stock_threshold=-1),
    "no currency": listed(listing__product__unit_price__currency_code=""),
    "a currency with a space": listed(listing__product__unit_price__currency_code="E R"),
    "a negative price": listed(listing__product__unit_price__units=-1),
    "too high a price": listed(listing__product__unit_price__units=10**12 + 1),
    "a price of negative billionths": listed(listing__product__unit_price__nanos=-1),
    "a price of too many billionths": listed(listing__product__unit_price__nanos=10**9),
    "no product": received(product=""),
    "no units": received(quantity=0),
    "negative units": received(quantity=-5),
    "too many units": received(quantity=1_000_001),
    "no request": received(request_id=""),
    "a long request": received(request_id="a" * 385),
}


@pytest.mark.parametrize("entry", BAD.values(), ids=BAD.keys())
def test_invalid_entries_are_skipped_and_counted(entry):
    before = UNUSABLE._value.get()
    assert usable(message(entry)) is None
    assert UNUSABLE._value.get() == before + 1


@given(st.binary(max_size=200))
def test_no_value_makes_parsing_raise(value):
    usable(message(value))


def test_rebuild_entries_of_earlier_versions_are_skipped():
    before = UNUSABLE._value.get()
    assert usable(message(LedgerEntry(rebuild={"generation": 3}))) is None
    assert UNUSABLE._value.get() == before


async def test_the_follower_skips_entries_that_the_stock_rejects():
    class Store:
        done: ClassVar = []

        async def receive(self, receipt):
            if receipt.product == "ghost":
                raise UnknownProduct("ghost")
            self.done.append(receipt)

        async def list_product(self, listing, at_ms):
            raise TooManyProducts(listing.product)

    before = UNUSABLE._value.get()
    good = catalogue.RECEIPTS[0]
    messages = [message(received(product="products/ghost")), message(listed()), message(b"\xff"), message(received())]
    await LedgerEntries(Store()).handle(messages)
    assert Store.done == [good]
    assert UNUSABLE._value.get() == before + 3


def test_the_example_shop_has_ten_products_with_a_price_and_stock():
    assert len({each.product for each in catalogue.LISTINGS}) == 10
    assert all(each.unit_price.split()[0] > 0 and each.unit_price.currency == "EUR" for each in catalogue.LISTINGS)
    assert {each.product for each in catalogue.RECEIPTS} == {each.product for each in catalogue.LISTINGS}


def test_a_stream_entry_becomes_an_event_with_the_stock_of_its_moment():
    fields = {"kind": "held", "hold": "a", "at": "1500", "changes": '[["mug",2,10,8,2,0]]'}
    event = wire.stock_event("3-17", fields)
    assert (event.kind, event.hold, event.generation, event.event_id) == (StockEvent.HELD, "holds/a", 3, "3-17")
    assert event.occur_time.ToMilliseconds() == 1500
    assert (event.changes[0].product, event.changes[0].quantity) == ("products/mug", 2)
    assert event.changes[0].stock.available == 8


def test_the_position_of_an_invalid_event_is_zero():
    assert ledger._position(StockEvent(event_id="3-17").SerializeToString()) == Position(3, 17)
    assert ledger._position(b"\xff") == ledger._position(b"") == Position(0)


def test_the_ledger_has_one_partition_and_is_compacted():
    assert (LEDGER.partitions, LEDGER.compacted) == (1, True)


class Publisher:
    def __init__(self):
        self.records = []

    async def publish(self, records):
        self.records += records


@pytest.fixture
def publisher():
    return Publisher()


@pytest.fixture
def written(publisher):
    return ledger.Ledger(publisher, KafkaCluster("127.0.0.1:1"), now_ms=lambda: 1500)


async def test_receipts_and_listings_are_written_under_their_keys(written, publisher):
    await written.record_receipts(catalogue.RECEIPTS[:2])
    await written.record_listings(catalogue.LISTINGS[:1], 7)
    assert [(each.topic, usable(message(each.value))) for each in publisher.records] == [
        ("stock_ledger", catalogue.RECEIPTS[0]),
        ("stock_ledger", catalogue.RECEIPTS[1]),
        ("stock_ledger", (catalogue.LISTINGS[0], 7)),
    ]
    entries = [LedgerEntry.FromString(each.value) for each in publisher.records]
    assert [each.key for each in publisher.records] == [ledger.key(entry) for entry in entries]
    assert entries[0].occur_time.ToMilliseconds() == 1500


@pytest.fixture
def topics(monkeypatch):
    """Record the contents of Kafka by topic, and how they were read."""
    found, calls = {}, []

    async def read_to_end(kafka, topic, **options):
        calls.append((kafka.brokers, topic, options))
        return found[topic]

    monkeypatch.setattr(ledger, "read_to_end", read_to_end)
    found["asked"] = calls
    return found


async def test_invalid_entries_are_not_written(written, publisher):
    for receipt in (Receipt("a" * 385, "mug", 1), Receipt("a", "mug", 0)):
        with pytest.raises(errors.InvalidArgument):
            await written.record_receipts([catalogue.RECEIPTS[0], receipt])
    assert publisher.records == []
    longest = Receipt(f"{'s' * 255} {'k' * 128}", "mug", 1)
    await written.record_receipts([longest])
    assert len(publisher.records) == 1


async def test_the_whole_ledger_is_read_except_for_invalid_entries(written, topics):
    topics["stock_ledger"] = [message(received()), message(b"\xff"), message(listed())]
    assert await written.read() == [catalogue.RECEIPTS[0], (catalogue.LISTINGS[0], 1)]
    assert topics["asked"] == [("127.0.0.1:1", "stock_ledger", {"within_s": 30.0})]


async def test_the_last_position_is_the_maximum_over_all_partitions(written, topics):
    events = [StockEvent(event_id=each) for each in ("3-17", "4-2", "3-99")]
    topics["stock_events"] = [message(events[0]), message(events[1]), message(b"\xff"), message(events[2])]
    assert await written.last_position() == Position(4, 2)
    assert topics["asked"] == [("127.0.0.1:1", "stock_events", {"last": 20, "within_s": 5.0})]
    topics["stock_events"] = []
    assert await written.last_position() == Position(0)


async def test_the_follower_stops_when_the_stock_is_unreachable(topics):
    class Store:
        async def receive(self, receipt):
            raise Unavailable("no Redis")

    before = UNUSABLE._value.get()
    with pytest.raises(Unavailable):
        await LedgerEntries(Store()).handle([message(received())])
    assert UNUSABLE._value.get() == before


async def test_the_follower_applies_listings_with_their_time():
    class Store:
        listed: ClassVar = []

        async def list_product(self, listing, at_ms):
            self.listed.append((listing, at_ms))

    await LedgerEntries(Store()).handle([message(listed())])
    assert Store.listed == [(catalogue.LISTINGS[0], 1)]


LIMITS = {
    "the last time": listed(occur_time__seconds=253_402_300_799, occur_time__nanos=999_000_000),
    "the longest product name": listed(listing__product__name="products/" + "a" * 63),
    "the longest display name": listed(listing__product__display_name="a" * 256),
    "the longest description": listed(listing__product__description="a" * 4096),
    "the highest threshold": listed(listing__low_stock_threshold=10**9),
    "the lowest threshold": listed(listing__low_stock_threshold=0),
    "the highest price": listed(listing__product__unit_price__units=10**12),
    "no whole units of a price": listed(listing__product__unit_price__units=0),
    "the most billionths": listed(listing__product__unit_price__nanos=10**9 - 1),
    "no billionths": listed(listing__product__unit_price__nanos=0),
    "the start of all times": listed(occur_time__seconds=0, occur_time__nanos=0),
    "one unit": received(quantity=1),
    "the most units": received(quantity=1_000_000),
    "the longest request": received(request_id="a" * 384),
    "the shortest request": received(request_id="a"),
}


@pytest.mark.parametrize("entry", LIMITS.values(), ids=LIMITS.keys())
def test_entries_at_the_limits_are_valid(entry):
    assert usable(message(entry)) is not None


JUST_BEYOND = {
    "threshold": listed(listing__low_stock_threshold=10**9 + 1),
    "the time after the last": listed(occur_time__seconds=253_402_300_800, occur_time__nanos=0),
    "the time before the first": listed(occur_time__seconds=-1, occur_time__nanos=999_000_000),
    "a second in billionths": listed(occur_time__seconds=5, occur_time__nanos=10**9),
    "less than no billionths": listed(occur_time__seconds=5, occur_time__nanos=-1),
}


@pytest.mark.parametrize("entry", JUST_BEYOND.values(), ids=JUST_BEYOND.keys())
def test_entries_beyond_the_limits_are_skipped(entry):
    assert usable(message(entry)) is None
