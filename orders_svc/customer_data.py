"""
What is stored about one customer, for operators: exported in pages, and erased in slices.

A customer is named by `customers/{customer}`, as `Order.customer` has it.
"""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client import Counter

from orders_svc import listing, wire
from orders_svc.operations_ports import CustomerRecords, Remembered, StoredCounts, Version
from orders_svc.order import Order
from orders_svc.refusals import OpenOrders
from runtime.caller import Caller
from runtime.clock import now
from runtime.deadline import remaining_s
from runtime.errors import Violation
from runtime.page_token import PageTokens

MAX_PAGE = 50
SLICE, MAX_SLICES = 100, 20
BUDGET_S = 4.0
"""After this time of one erasing call, or half of what its caller waits, no further slice is begun."""
ERASED_ORDERS = Counter("orders_customer_erased", "Orders whose customer was erased on request.")
ERASED_REQUESTS = Counter("orders_customer_requests_erased", "Request ids that were forgotten with their customer.")
# Which part of the export a page is of, and after what in it: an order's time and id, or a request's id.
_ORDERS, _REQUESTS = 0, 1
_TOKEN = struct.Struct(">B128s")
PLACE_BYTES = _TOKEN.size
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of what is stored: orders with their versions, then requests; and the next page's token."""

    orders: Sequence[Order]
    versions: Mapping[uuid.UUID, Sequence[Version]]
    requests: Sequence[Remembered]
    next_token: str


@dataclass(frozen=True, slots=True)
class Erased:
    """The orders and requests that one call erased, and what is left."""

    orders: int
    requests: int
    left: StoredCounts

    @property
    def done(self) -> bool:
        """Return whether nothing is left."""
        return self.left == StoredCounts(0, 0, 0)


class CustomerData:
    """Exports and erases what *records* have of customers."""

    def __init__(self, records: CustomerRecords, tokens: PageTokens, *, clock: Callable[[], datetime] = now) -> None:
        self._records = records
        self._tokens = tokens
        self._clock = clock

    async def export(self, who: Caller, name: str, *, size: int, token: str) -> Page:
        """
        Return a page of what is stored about the customer *name*, of at most *size* orders and requests together.
        """
        customer, size = wire.customer(name), min(size or MAX_PAGE, MAX_PAGE)
        before, after = self._place(token, name)
        orders = [] if before is None else await self._records.orders(customer, before=before, limit=size + 1)
        if len(orders) > size:
            orders, requests, following = orders[:size], [], _after_order(orders[size - 1])
        else:
            room = size - len(orders)
            requests = await self._records.requests(customer, after=after, limit=room + 1)
            following = b"" if len(requests) <= room else _after_request(requests[room - 1] if room else None)
            requests = requests[:room]
        versions = await self._records.versions_of([order.id for order in orders]) if orders else {}
        log.info("customer_exported", operator=who.customer, orders=len(orders), requests=len(requests))
        return Page(orders, versions, requests, self._tokens.write(following, _scope(name)) if following else "")

    def _place(self, token: str, name: str) -> tuple[listing.Place | None, str]:
        """
        Return before which order the page begins, None if after all of them, and after which request.
        """
        if not token:
            return listing.NEWEST, ""
        part, place = _TOKEN.unpack(self._tokens.read(token, _scope(name)))
        if part == _REQUESTS:
            return None, place.rstrip(b"\0").decode()
        return listing.place_in(place[: listing.PLACE_BYTES]), ""

    async def count(self, name: str) -> Erased:
        """
        Return what is stored about the customer *name*; nothing is erased.
        """
        return Erased(0, 0, await self._records.stored(wire.customer(name)))

    async def erase(self, who: Caller, name: str, *, reference: str) -> Erased:
        """
        Erase the customer *name* of final orders, and their request ids, in slices; a repeat goes on.

        Raises `OpenOrders` while there are others, and `EventsWaiting`. An order placed meanwhile ends the call.
        """
        customer = wire.customer(name)
        if count := await self._records.open(customer):
            raise _refusal(count)
        until = time.monotonic() + min(BUDGET_S, remaining_s(BUDGET_S) / 2)
        orders = requests = 0
        try:
            for _ in range(MAX_SLICES):
                orders_now = await self._records.erase_orders(customer, at=self._clock(), limit=SLICE)
                orders += orders_now
                requests_now = await self._records.erase_requests(customer, limit=SLICE)
                requests += requests_now
                if not (orders_now or requests_now) or time.monotonic() >= until:
                    break
                if await self._records.open(customer):
                    break
            left = await self._records.stored(customer)
        finally:
            # Also what a call did that failed later: each slice is for good.
            _note(who, reference, orders, requests)
        return Erased(orders, requests, left)


def _note(who: Caller, reference: str, orders: int, requests: int) -> None:
    """
    Count and log an erasure, without the name that is to be forgotten.
    """
    ERASED_ORDERS.inc(orders)
    ERASED_REQUESTS.inc(requests)
    log.info("customer_erased", operator=who.customer, reference=reference, orders=orders, requests=requests)


def _refusal(count: int) -> OpenOrders:
    why = f"{count} orders of the customer are not final"
    return OpenOrders(
        f"{why}; fulfil or cancel them first",
        metadata={"open_orders": str(count)},
        violations=[Violation(OpenOrders.reason, "orders", why)],
    )


def _scope(name: str) -> str:
    return f"ExportCustomer\n{name}"


def _after_order(last: Order) -> bytes:
    return _TOKEN.pack(_ORDERS, listing.place_of(last))


def _after_request(last: Remembered | None) -> bytes:
    return _TOKEN.pack(_REQUESTS, last.request_id.encode() if last else b"")
