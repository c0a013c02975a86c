"""An order's states and transitions."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_svc import wire
from orders_svc.order import NEXT, Draft, Hold, Line, Order, State, require_etag
from orders_svc.refusals import IllegalTransition, OrderChanged
from runtime.money import MixedCurrencies, Money, TotalTooLarge

AT = datetime(2026, 1, 1, tzinfo=UTC)
WANTED = Draft("ann", "k", (Line("products/tea", 2), Line("products/pot", 1)))
HOLD = Hold(3, {"products/tea": Money("EUR", 1_500_000_000), "products/pot": Money("EUR", 250_000_000)})
MOVES = {
    State.CONFIRMED: lambda order: order.confirm(HOLD, AT),
    State.REJECTED: lambda order: order.reject("OUT_OF_STOCK", AT),
    State.CANCELLED: lambda order: order.cancel(AT),
    State.FULFILLED: lambda order: order.fulfil(AT),
}


def in_state(state):
    return replace(Order.confirmed(WANTED, HOLD, AT), state=state)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("wanted", MOVES)
def test_exactly_the_transitions_of_the_table_are_allowed(state, wanted):
    order = in_state(state)
    if wanted in NEXT.get(state, ()):
        moved = MOVES[wanted](order)
        assert (moved.state, moved.version) == (wanted, order.version + 1)
    else:
        with pytest.raises(IllegalTransition) as refused:
            MOVES[wanted](order)
        assert refused.value.metadata == {"order": order.name, "state": state, "wanted": wanted}


def test_an_order_id_is_derived_from_customer_and_key():
    ids = {Draft(who, key, ()).order_id for who in ("ann", "bob") for key in ("k", "l")}
    assert len(ids) == 4
    assert WANTED.order_id == Draft("ann", "k", ()).order_id
    # Never change these: a retry of a request from before an update must find its order.
    assert WANTED.order_id == uuid.UUID("3bc9a481-1782-54a0-83a5-34f6dc52f779")


def test_the_total_is_exact_and_of_one_currency():
    assert Order.confirmed(WANTED, HOLD, AT).total == Money("EUR", 3_250_000_000)
    mixed = Hold(1, {**HOLD.prices, "products/pot": Money("USD", 1)})
    with pytest.raises(MixedCurrencies):
        Order.confirmed(WANTED, mixed, AT)


def test_a_total_is_limited_to_the_range_of_money():
    most = 2**63 - 1
    wanted = Draft("ann", "k", (Line("products/tea", 1),))
    order = Order.confirmed(wanted, Hold(1, {"products/tea": Money("EUR", most * 10**9 + 999_999_999)}), AT)
    assert wire.order_message(order).total.units == most
    with pytest.raises(TotalTooLarge):
        Order.confirmed(wanted, Hold(1, {"products/tea": Money("EUR", (most + 1) * 10**9)}), AT)


def test_reordered_lines_are_the_same_request():
    turned = Draft("ann", "k", WANTED.lines[::-1])
    assert turned.fingerprint == WANTED.fingerprint
    assert Draft("ann", "k", (Line("products/tea", 3), WANTED.lines[1])).fingerprint != WANTED.fingerprint


def test_every_version_has_its_own_etag():
    first = Order.confirmed(WANTED, HOLD, AT)
    second = first.cancel(AT)
    require_etag(first, "")
    require_etag(first, first.etag)
    require_etag(first, f"W/{first.etag}")
    with pytest.raises(OrderChanged):
        require_etag(second, first.etag)


def test_time_does_not_go_back_when_clocks_differ():
    order = Order.confirmed(WANTED, HOLD, AT)
    assert order.cancel(AT - timedelta(seconds=5)).update_time == AT


amounts = st.builds(Money, st.sampled_from(["EUR", "JPY"]), st.integers(-(10**24), 10**24))
times = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))
line = st.builds(
    Line, st.from_regex(r"products/[a-z0-9]{1,20}", fullmatch=True), st.integers(1, 1000), st.none() | amounts
)


@given(
    st.builds(
        Order,
        id=st.uuids(),
        customer=st.text("abcXYZ09._@|-", min_size=1, max_size=20),
        lines=st.lists(line, max_size=4).map(tuple),
        state=st.sampled_from(State),
        create_time=times,
        update_time=times,
        state_reason=st.sampled_from(["", "OUT_OF_STOCK"]),
        total=st.none() | st.builds(Money, st.just("EUR"), st.integers(0, 10**18)),
        version=st.integers(1, 2**62),
    )
)
def test_an_order_survives_the_round_trip(order):
    order = replace(
        order,
        lines=tuple(
            replace(
                each, unit_price=each.unit_price and Money(each.unit_price.currency, each.unit_price.nanos % 10**18)
            )
            for each in order.lines
        ),
    )
    message = wire.order_message(order)
    assert wire.order(type(message).FromString(message.SerializeToString())) == order
