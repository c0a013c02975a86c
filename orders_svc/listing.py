"""Pages of orders, newest first (AIP-158)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import uuid
from datetime import UTC, datetime, timedelta

from orders_svc.order import Order, State
from orders_svc.ports import Lists
from runtime.caller import Caller
from runtime.errors import FieldViolation, InvalidArgument

DEFAULT_SIZE = 50
MAX_SIZE = 500
_PLACE = struct.Struct(">q16s")
_SIGNATURE_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), uuid.UUID(int=2**128 - 1))
Place = tuple[datetime, uuid.UUID]


class Listing:
    """
    Gives out pages. A token names the last order of its page and is signed with *key*.

    New orders come before every token's place, so pages neither repeat nor skip an order.
    """

    def __init__(self, orders: Lists, key: bytes) -> None:
        self._orders = orders
        self._key = key

    async def page(self, caller: Caller, state: State | None, size: int, token: str) -> tuple[list[Order], str]:
        """
        Return a page and the token of the next, empty after the last; operators see everybody's orders.
        """
        size = min(size or DEFAULT_SIZE, MAX_SIZE)
        customer = None if caller.operator else caller.customer
        scope = f"{'*' if customer is None else 'c:' + customer}\n{state or '*'}"
        before = self._read(token, scope) if token else _NEWEST
        states = list(State) if state is None else [state]
        orders = await self._orders.list(customer=customer, states=states, before=before, limit=size + 1)
        if len(orders) <= size:
            return orders, ""
        return orders[:size], self._token(orders[size - 1], scope)

    def _token(self, last: Order, scope: str) -> str:
        place = _PLACE.pack((last.create_time - _EPOCH) // timedelta(microseconds=1), last.id.bytes)
        return base64.urlsafe_b64encode(place + self._sign(place, scope)).rstrip(b"=").decode()

    def _read(self, token: str, scope: str) -> Place:
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _bad_token() from error
        place, signature = raw[: _PLACE.size], raw[_PLACE.size :]
        if not hmac.compare_digest(signature, self._sign(place, scope)):
            raise _bad_token()
        micros, order_id = _PLACE.unpack(place)
        return _EPOCH + timedelta(microseconds=micros), uuid.UUID(bytes=order_id)

    def _sign(self, place: bytes, scope: str) -> bytes:
        return hmac.new(self._key, place + scope.encode(), hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def _bad_token() -> InvalidArgument:
    message = "not the next_page_token of a page of this list"
    return InvalidArgument(
        f"page_token: {message}", reason="INVALID_PAGE_TOKEN", fields=[FieldViolation("page_token", message)]
    )
