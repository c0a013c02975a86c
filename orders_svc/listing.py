"""Pages of orders, newest first (AIP-158)."""

from __future__ import annotations

import struct
import uuid
from datetime import UTC, datetime, timedelta

from orders_svc.order import Order, State
from orders_svc.ports import Lists
from runtime.caller import Caller
from runtime.page_token import PageTokens

DEFAULT_SIZE = 50
MAX_SIZE = 500
_PLACE = struct.Struct(">q16s")
PLACE_BYTES = _PLACE.size
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), uuid.UUID(int=2**128 - 1))
Place = tuple[datetime, uuid.UUID]


class Listing:
    """
    Lists orders in pages. A page token names the last order of its page.

    New orders sort before every token's position, so pages neither repeat nor skip an order.
    """

    def __init__(self, orders: Lists, tokens: PageTokens) -> None:
        self._orders = orders
        self._tokens = tokens

    async def page(self, caller: Caller, state: State | None, size: int, token: str) -> tuple[list[Order], str]:
        """
        Return a page and the token of the next, empty after the last; operators see everybody's orders.
        """
        size = min(size or DEFAULT_SIZE, MAX_SIZE)
        customer = None if caller.operator else caller.customer
        scope = f"{'*' if customer is None else 'c:' + customer}\n{state or '*'}"
        before = place_in(self._tokens.read(token, scope)) if token else NEWEST
        states = list(State) if state is None else [state]
        orders = await self._orders.list(customer=customer, states=states, before=before, limit=size + 1)
        if len(orders) <= size:
            return orders, ""
        return orders[:size], self._tokens.write(place_of(orders[size - 1]), scope)


def place_of(last: Order) -> bytes:
    """
    Return the place after *last* in a list of orders, `PLACE_BYTES` long.
    """
    return _PLACE.pack((last.create_time - _EPOCH) // timedelta(microseconds=1), last.id.bytes)


def place_in(packed: bytes) -> Place:
    """
    Return what *packed*, a place of `place_of`, says: orders older than this follow.
    """
    micros, order_id = _PLACE.unpack(packed)
    return _EPOCH + timedelta(microseconds=micros), uuid.UUID(bytes=order_id)
