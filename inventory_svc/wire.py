"""Conversion between our stock and the contract's messages; ids here, resource names there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from shop.inventory.v1 import events_pb2, inventory_pb2
from shop.orders.v1 import order_pb2

from inventory_svc.stock import Hold, Line, Listing, Product, Receipt, State, Stock
from runtime.money_message import money, money_message

_STATES = {
    State.HELD: inventory_pb2.Hold.HELD,
    State.COMMITTED: inventory_pb2.Hold.COMMITTED,
    State.RELEASED: inventory_pb2.Hold.RELEASED,
}
_KINDS = {
    "held": events_pb2.StockEvent.HELD,
    "committed": events_pb2.StockEvent.COMMITTED,
    "released": events_pb2.StockEvent.RELEASED,
    "restocked": events_pb2.StockEvent.RESTOCKED,
    "low": events_pb2.StockEvent.LOW,
    "short": events_pb2.StockEvent.SHORT,
}


def bare(name: str) -> str:
    """
    Return the id in a resource name: `mug` of `products/mug`.
    """
    return name.partition("/")[2]


def timestamp(milliseconds: int) -> Timestamp:
    """
    Return the timestamp of a time given in ms since 1970.
    """
    moment = Timestamp()
    moment.FromMilliseconds(milliseconds)
    return moment


def milliseconds(moment: Timestamp) -> int:
    """
    Return *moment* in ms since 1970; never raises.
    """
    return moment.seconds * 1000 + moment.nanos // 1_000_000


def lines(messages: Iterable[inventory_pb2.HoldLine] | Iterable[order_pb2.OrderLine]) -> tuple[Line, ...]:
    """
    Return a basket's lines; an absent price stays absent.
    """
    return tuple(
        Line(bare(each.product), each.quantity, money(each.unit_price) if each.HasField("unit_price") else None)
        for each in messages
    )


def hold_message(hold: Hold) -> inventory_pb2.Hold:
    """
    Return *hold* as a message.
    """
    return inventory_pb2.Hold(
        name=f"holds/{hold.order}",
        order=f"orders/{hold.order}",
        lines=[_line_message(line) for line in hold.lines],
        state=_STATES[hold.state],
        expire_time=None if hold.expire_ms is None else timestamp(hold.expire_ms),
        generation=hold.generation,
    )


def _line_message(line: Line) -> inventory_pb2.HoldLine:
    return inventory_pb2.HoldLine(
        product=f"products/{line.product}",
        quantity=line.quantity,
        unit_price=None if line.unit_price is None else money_message(line.unit_price),
    )


def stock_message(stock: Stock) -> inventory_pb2.Stock:
    """
    Return *stock* as a message.
    """
    return inventory_pb2.Stock(on_hand=stock.on_hand, available=stock.available, held=stock.held, sold=stock.sold)


def product_message(product: Product) -> inventory_pb2.Product:
    """
    Return *product* as a message, with an etag over all its other fields.
    """
    message = _listing_message(product.listing)
    message.stock.CopyFrom(stock_message(product.stock))
    digest = hashlib.blake2b(message.SerializeToString(deterministic=True), digest_size=8)
    message.etag = f'"{digest.hexdigest()}"'
    return message


def _listing_message(listing: Listing) -> inventory_pb2.Product:
    return inventory_pb2.Product(
        name=f"products/{listing.product}",
        display_name=listing.display_name,
        description=listing.description,
        unit_price=money_message(listing.unit_price),
    )


def listing_entry(listing: Listing, at_ms: int) -> events_pb2.LedgerEntry:
    """
    Return the ledger's entry for a listing.
    """
    return events_pb2.LedgerEntry(
        occur_time=timestamp(at_ms),
        listing=events_pb2.LedgerEntry.Listing(
            product=_listing_message(listing), low_stock_threshold=listing.low_stock
        ),
    )


def listing(message: events_pb2.LedgerEntry.Listing) -> Listing:
    """
    Return a listing from the ledger.
    """
    item = message.product
    price = money(item.unit_price)
    return Listing(bare(item.name), item.display_name, item.description, price, message.low_stock_threshold)


def receipt_entry(receipt: Receipt, at_ms: int) -> events_pb2.LedgerEntry:
    """
    Return the ledger's entry for a receipt.
    """
    return events_pb2.LedgerEntry(
        occur_time=timestamp(at_ms),
        receipt=events_pb2.LedgerEntry.Receipt(
            product=f"products/{receipt.product}", quantity=receipt.quantity, request_id=receipt.request
        ),
    )


def receipt(message: events_pb2.LedgerEntry.Receipt) -> Receipt:
    """
    Return a receipt from the ledger.
    """
    return Receipt(message.request_id, bare(message.product), message.quantity)


def stock_event(event_id: str, fields: Mapping[str, str]) -> events_pb2.StockEvent:
    """
    Return the event in a stream entry of `common.lua`; its id is `<generation>-<sequence>`.
    """
    order = fields["hold"]
    return events_pb2.StockEvent(
        event_id=event_id,
        occur_time=timestamp(int(fields["at"])),
        kind=_KINDS[fields["kind"]],
        hold=f"holds/{order}" if order else "",
        changes=[
            events_pb2.StockChange(
                product=f"products/{product}", quantity=quantity, stock=stock_message(Stock(*numbers))
            )
            for product, quantity, *numbers in json.loads(fields["changes"])
        ],
        generation=int(event_id.partition("-")[0]),
    )
