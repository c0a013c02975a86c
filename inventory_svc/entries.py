"""
Validation of the ledger's entries.

Parsing never raises, whatever is in the ledger: invalid entries are skipped, logged and counted, here and nowhere
else, for the follower of the ledger and for a rebuild alike.
"""

from __future__ import annotations

import re

import structlog
from google.protobuf.message import DecodeError
from google.type.money_pb2 import Money
from prometheus_client import Counter
from shop.inventory.v1.events_pb2 import LedgerEntry

from inventory_svc import wire
from inventory_svc.stock import Entry, Listing, Receipt
from runtime import errors
from runtime.caller import MAX_CUSTOMER
from runtime.messaging.message import Message
from runtime.money import NANOS

UNUSABLE = Counter("inventory_ledger_unusable", "Ledger entries that were set aside, each time they were met.")
MAX_UNITS = 1_000_000
"""Of one receipt, like Restock's limit."""
MAX_PRICE = 10**12
"""Whole units of a currency."""
MAX_NAME = 256
MAX_DESCRIPTION = 4096
MAX_REQUEST = MAX_CUSTOMER + 1 + 128
"""The caller and their request id, which has at most 128 characters in the contract."""
LAST_MS = 253_402_300_799_999
"""The end of the year 9999, which is the last that protobuf has."""
_PRODUCT = re.compile(r"products/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CURRENCY = re.compile(r"[A-Z]{3}")
log = structlog.get_logger()


def usable(message: Message) -> Entry | None:
    """
    Return the entry in *message*, or None if it has none or an invalid one, which is logged and counted.
    """
    try:
        return _read(message.value or b"")
    except errors.InvalidArgument as error:
        set_aside(message, error)
        return None


def set_aside(message: Message, error: errors.Error) -> None:
    """
    Log and count an entry that cannot be used.
    """
    UNUSABLE.inc()
    log.error("ledger_entry_unusable", offset=message.offset, key=repr(message.key[:80]), problem=error.message)


def _read(value: bytes) -> Entry | None:
    try:
        entry = LedgerEntry.FromString(value)
    except DecodeError as error:
        raise errors.InvalidArgument("not a LedgerEntry") from error
    return understood(entry)


def understood(entry: LedgerEntry) -> Entry | None:
    """
    Return the content of *entry*, None for obsolete kinds; raise `InvalidArgument` for an invalid one.
    """
    kind = entry.WhichOneof("entry")
    if kind == "listing":
        return _listing(entry.listing), _milliseconds(entry)
    if kind == "receipt":
        return _receipt(entry.receipt)
    if kind == "rebuild":
        # Written by earlier versions.
        return None
    raise errors.InvalidArgument("neither a listing nor a receipt")


def _milliseconds(entry: LedgerEntry) -> int:
    at_ms = wire.milliseconds(entry.occur_time)
    _require(0 <= at_ms <= LAST_MS and 0 <= entry.occur_time.nanos < NANOS, "occur_time")
    return at_ms


def _listing(message: LedgerEntry.Listing) -> Listing:
    listing = wire.listing(message)
    _require(bool(_PRODUCT.fullmatch(message.product.name)), "listing.product.name")
    _require(len(listing.display_name) <= MAX_NAME, "listing.product.display_name")
    _require(len(listing.description) <= MAX_DESCRIPTION, "listing.product.description")
    _require(0 <= listing.low_stock <= 10**9, "listing.low_stock_threshold")
    _require(_is_price(message.product.unit_price), "listing.product.unit_price")
    return listing


def _is_price(price: Money) -> bool:
    return bool(_CURRENCY.fullmatch(price.currency_code)) and 0 <= price.units <= MAX_PRICE and 0 <= price.nanos < NANOS


def _receipt(message: LedgerEntry.Receipt) -> Receipt:
    _require(bool(_PRODUCT.fullmatch(message.product)), "receipt.product")
    _require(1 <= message.quantity <= MAX_UNITS, "receipt.quantity")
    _require(0 < len(message.request_id) <= MAX_REQUEST, "receipt.request_id")
    return wire.receipt(message)


def _require(holds: bool, field: str) -> None:
    if not holds:
        raise errors.InvalidArgument(f"{field} is out of its range")
