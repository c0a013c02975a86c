"""Entries of the ledger and events of the stock, as messages."""

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
from runtime.messaging.message import Message


def test_compaction_keeps_receipts_that_differ_and_the_last_listing_of_a_product():
    receipts = [Receipt("ada r", "mug", 1), Receipt("ada r", "mug", 2), Receipt("bob r", "mug", 1)]
    assert len({ledger.key(wire.receipt_entry(each, 1)) for each in receipts}) == 3
    listing = catalogue.LISTINGS[0]
    assert ledger.key(wire.listing_entry(listing, 1)) == ledger.key(wire.listing_entry(listing, 2))


def test_entries_come_back_as_they_were():
    for listing in catalogue.LISTINGS:
        assert wire.listing(wire.listing_entry(listing, 1).listing) == listing
    for receipt in catalogue.RECEIPTS:
        assert wire.receipt(wire.receipt_entry(receipt, 1).receipt) == receipt


def message(entry):
    value = entry if isinstance(entry, bytes) else entry.SerializeToString()
    return Message("stock_ledger", 0, 7, b"key", value, {}, 0)


def listed(**changes):
    """A listing with something wrong with it."""
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


def test_a_usable_entry_is_what_it_says():
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
def test_what_cannot_be_used_is_set_aside_and_counted(entry):
    before = UNUSABLE._value.get()
    assert usable(message(entry)) is None
    assert UNUSABLE._value.get() == before + 1


@given(st.binary(max_size=200))
def test_no_value_makes_reading_raise(value):
    usable(message(value))


def test_what_earlier_versions_wrote_about_rebuilds_is_passed_over():
    before = UNUSABLE._value.get()
    assert usable(message(LedgerEntry(rebuild={"generation": 3}))) is None
    assert UNUSABLE._value.get() == before


async def test_following_sets_aside_what_the_stock_refuses_and_goes_on():
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


def test_the_position_of_what_is_no_event_is_the_very_first():
    assert ledger._position(StockEvent(event_id="3-17").SerializeToString()) == Position(3, 17)
    assert ledger._position(b"\xff") == ledger._position(b"") == Position(0)


def test_everybody_reads_the_ledger_in_one_order_and_it_does_not_grow_with_every_change():
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
    return ledger.Ledger(publisher, "127.0.0.1:1", now_ms=lambda: 1500)


async def test_what_came_in_and_what_is_listed_is_written_under_its_key(written, publisher):
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
    """What Kafka has, by topic; and how it was read."""
    found, asked = {}, []

    async def read_to_end(brokers, topic, **options):
        asked.append((brokers, topic, options))
        return found[topic]

    monkeypatch.setattr(ledger, "read_to_end", read_to_end)
    found["asked"] = asked
    return found


async def test_what_nobody_could_read_back_is_not_written(written, publisher):
    for receipt in (Receipt("a" * 385, "mug", 1), Receipt("a", "mug", 0)):
        with pytest.raises(errors.InvalidArgument):
            await written.record_receipts([catalogue.RECEIPTS[0], receipt])
    assert publisher.records == []
    longest = Receipt(f"{'s' * 255} {'k' * 128}", "mug", 1)
    await written.record_receipts([longest])
    assert len(publisher.records) == 1


async def test_the_whole_ledger_is_read_but_for_what_cannot_be_used(written, topics):
    topics["stock_ledger"] = [message(received()), message(b"\xff"), message(listed())]
    assert await written.read() == [catalogue.RECEIPTS[0], (catalogue.LISTINGS[0], 1)]
    assert topics["asked"] == [("127.0.0.1:1", "stock_ledger", {"within_s": 30.0})]


async def test_the_last_position_is_the_highest_of_the_last_events_of_any_partition(written, topics):
    events = [StockEvent(event_id=each) for each in ("3-17", "4-2", "3-99")]
    topics["stock_events"] = [message(events[0]), message(events[1]), message(b"\xff"), message(events[2])]
    assert await written.last_position() == Position(4, 2)
    assert topics["asked"] == [("127.0.0.1:1", "stock_events", {"last": 20, "within_s": 5.0})]
    topics["stock_events"] = []
    assert await written.last_position() == Position(0)


async def test_following_stops_where_the_stock_cannot_be_reached(topics):
    class Store:
        async def receive(self, receipt):
            raise Unavailable("no Redis")

    before = UNUSABLE._value.get()
    with pytest.raises(Unavailable):
        await LedgerEntries(Store()).handle([message(received())])
    assert UNUSABLE._value.get() == before


async def test_following_lists_a_product_from_its_time_on():
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
def test_what_is_just_within_the_limits_is_usable(entry):
    assert usable(message(entry)) is not None


JUST_BEYOND = {
    "threshold": listed(listing__low_stock_threshold=10**9 + 1),
    "the time after the last": listed(occur_time__seconds=253_402_300_800, occur_time__nanos=0),
    "the time before the first": listed(occur_time__seconds=-1, occur_time__nanos=999_000_000),
    "a second in billionths": listed(occur_time__seconds=5, occur_time__nanos=10**9),
    "less than no billionths": listed(occur_time__seconds=5, occur_time__nanos=-1),
}


@pytest.mark.parametrize("entry", JUST_BEYOND.values(), ids=JUST_BEYOND.keys())
def test_what_is_just_beyond_the_limits_is_set_aside(entry):
    assert usable(message(entry)) is None
