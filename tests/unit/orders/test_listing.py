"""Pages of orders: how many, whose, and what a token is good for."""

import struct
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from orders_svc.listing import PLACE_BYTES, Listing
from orders_svc.order import Draft, Line, Order, State
from runtime.caller import Caller
from runtime.errors import InvalidArgument
from runtime.page_token import PageTokens

ANN, BOB, OPERATOR = Caller("ann"), Caller("bob"), Caller("op", operator=True)
NOON = datetime(2026, 11, 27, 12, 0, 0, 123456, tzinfo=UTC)
TOKENS = PageTokens(b"key", method="ListOrders", place_bytes=PLACE_BYTES)


class Lists:
    """The port, with as many orders as asked for; keeps what it was asked."""

    def __init__(self, count=0):
        self.orders = [_order(n) for n in range(count)]
        self.asked = []

    async def list(self, *, customer, states, before, limit):
        self.asked.append((customer, states, before, limit))
        return [each for each in self.orders if (each.create_time, each.id) < before][:limit]


def _order(n):
    draft = Draft("ann", str(uuid.UUID(int=n)), (Line("products/tea", 1),))
    return Order.pending(draft, NOON - n * timedelta(microseconds=1))


@pytest.mark.parametrize(("size", "limit"), [(0, 51), (1, 2), (500, 501), (501, 501), (10**6, 501)])
async def test_one_more_than_the_page_is_read(size, limit):
    lists = Lists()
    assert await Listing(lists, TOKENS).page(ANN, None, size, "") == ([], "")
    assert lists.asked == [("ann", list(State), (datetime(9999, 1, 1, tzinfo=UTC), uuid.UUID(int=2**128 - 1)), limit)]


async def test_a_full_last_page_has_no_token():
    lists = Lists(2)
    assert await Listing(lists, TOKENS).page(ANN, None, 2, "") == (lists.orders, "")


async def test_pages_follow_each_other():
    listing = Listing(lists := Lists(5), TOKENS)
    first, token = await listing.page(ANN, None, 2, "")
    second, token = await listing.page(ANN, None, 2, token)
    third, end = await listing.page(ANN, None, 2, token)
    assert ([*first, *second, *third], end) == (lists.orders, "")


async def test_operators_list_everybodys_orders_of_one_state():
    lists = Lists()
    await Listing(lists, TOKENS).page(OPERATOR, State.PENDING, 1, "")
    assert lists.asked[0][:2] == (None, [State.PENDING])


async def test_a_token_names_the_microsecond_and_the_id_of_the_last_order():
    """A replica of another release reads it."""
    lists = Lists(2)
    _, token = await Listing(lists, TOKENS).page(ANN, None, 1, "")
    last = lists.orders[0]
    place = struct.pack(">q16s", int(NOON.timestamp()) * 10**6 + NOON.microsecond, last.id.bytes)
    assert TOKENS.read(token, "c:ann\n*") == place


@pytest.mark.parametrize(
    ("caller", "state"), [(BOB, State.PENDING), (ANN, None), (ANN, State.CONFIRMED), (OPERATOR, State.PENDING)]
)
async def test_a_token_is_good_for_its_customer_and_state_only(caller, state):
    listing = Listing(Lists(2), TOKENS)
    _, token = await listing.page(ANN, State.PENDING, 1, "")
    await listing.page(ANN, State.PENDING, 1, token)
    with pytest.raises(InvalidArgument):
        await listing.page(caller, state, 1, token)


async def test_a_customer_named_like_the_sign_for_everybody_has_no_operators_token():
    listing = Listing(Lists(2), TOKENS)
    _, token = await listing.page(OPERATOR, None, 1, "")
    with pytest.raises(InvalidArgument):
        await listing.page(Caller("*"), None, 1, token)
