"""The test suite of the stock's ports; run on the fake and on Redis."""

import time
import uuid

import pytest

from inventory_svc.refusals import (
    Ahead,
    HoldCommitted,
    HoldGone,
    HoldMismatch,
    HoldReleased,
    HoldSettled,
    OutOfStock,
    Undecided,
    UnknownProduct,
    UnknownProducts,
)
from inventory_svc.stock import JUST_NOW_MS, Basket, Hold, Line, Listing, Receipt, Return, Sale, State, Stock
from runtime.money import MixedCurrencies, Money, TotalTooLarge
from runtime.refusals import IdempotencyKeyReused

PRICE = Money.of("EUR", 12, 900_000_000)


def order_id(name):
    """Return the id of an order that a test calls *name*: always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


async def list_product(store, name, units, *, low=0, price=PRICE):
    await store.list_product(Listing(name, name.title(), f"A {name}.", price, low), 1)
    if units:
        await store.receive(Receipt(f"test {name}", name, units))


async def furnished(store):
    """Return a stock of ten mugs and three pens."""
    await list_product(store, "mug", 10)
    await list_product(store, "pen", 3)
    return store


async def expiring(make_store, *, grace_ms=0):
    """Return a stock with leases of 30 ms."""
    store = await make_store(lease_ms=30, grace_ms=grace_ms)
    await list_product(store, "mug", 10)
    return store


async def let_expire(store, order, pass_time):
    await pass_time(0.05)
    assert await store.expire([order_id(order)]) == 1


def lines(**quantities):
    return tuple(Line(name, units) for name, units in quantities.items())


def basket(order, **quantities):
    return Basket(order_id(order), lines(**quantities))


def sale(order, generation=1, **quantities):
    return Sale(order_id(order), lines(**quantities), generation)


async def hold(store, order, **quantities):
    (outcome,) = await store.hold([basket(order, **quantities)])
    return outcome


async def commit(store, order, generation=1, *, owned=False, **quantities):
    sales = [sale(order, generation, **quantities) if quantities else Sale(order_id(order), ())]
    (outcome,) = await store.commit(sales, owned=owned)
    return outcome


async def release(store, order, generation=0, *, held_in=0, at_ms=JUST_NOW_MS, created_ms=0, **quantities):
    back = Return(order_id(order), lines(**quantities), generation, held_in, at_ms, created_ms)
    (outcome,) = await store.release([back])
    return outcome


async def numbers(store, name="mug"):
    stock = (await store.product(name)).stock
    assert stock.adds_up()
    return stock.available, stock.held, stock.sold


class StockPortSuite:
    """
    Subclasses have the fixtures `store`, with products; `make_store`, which returns an empty one with other limits;
    `pass_time`, which lets so many seconds pass.
    """

    async def test_a_basket_is_held_with_the_current_prices(self, store):
        held = await hold(store, "a", mug=2, pen=1)
        assert held.state is State.HELD
        assert held.lines[0] == Line("mug", 2, Money.of("EUR", 12, 900_000_000))
        assert await numbers(store, "mug") == (8, 2, 0)
        assert await numbers(store, "pen") == (2, 1, 0)

    async def test_a_basket_with_one_missing_line_holds_nothing(self, store):
        refused = await hold(store, "a", mug=2, pen=4)
        assert isinstance(refused, OutOfStock)
        assert await numbers(store, "mug") == (10, 0, 0)

    async def test_every_missing_line_is_reported_at_once_with_its_numbers(self, store):
        refused = await hold(store, "a", mug=11, pen=4)
        reported = [(each.type, each.subject, each.description) for each in refused.violations]
        assert reported == [
            ("OUT_OF_STOCK", "products/mug", "11 wanted, 10 available"),
            ("OUT_OF_STOCK", "products/pen", "4 wanted, 3 available"),
        ]

    async def test_an_unknown_product_is_reported_by_its_line(self, store):
        refused = await hold(store, "a", mug=1, unicorn=1)
        assert isinstance(refused, UnknownProducts)
        assert [each.field for each in refused.fields] == ["lines[1].product"]
        assert await numbers(store) == (10, 0, 0)

    async def test_second_buyer_of_the_last_item_is_refused(self, store):
        assert isinstance(await hold(store, "a", pen=3), Hold)
        assert isinstance(await hold(store, "b", pen=1), OutOfStock)

    async def test_a_repeated_hold_takes_nothing_more(self, store):
        first = await hold(store, "a", mug=2, pen=1)
        again = await hold(store, "a", pen=1, mug=2)
        assert (again.order, again.lines, again.state) == (first.order, first.lines, first.state)
        assert await numbers(store) == (8, 2, 0)

    async def test_a_repeated_hold_of_other_lines_is_refused(self, store):
        await hold(store, "a", mug=2)
        assert isinstance(await hold(store, "a", mug=3), HoldMismatch)
        assert isinstance(await hold(store, "a", mug=2, pen=1), HoldMismatch)
        assert await numbers(store) == (8, 2, 0)

    async def test_each_basket_of_a_batch_has_its_own_outcome(self, store):
        outcomes = await store.hold(
            [basket("a", pen=2), basket("b", pen=2), basket("c", unicorn=1), basket("d", pen=1), basket("a", pen=2)]
        )
        assert [type(each) for each in outcomes] == [Hold, OutOfStock, UnknownProducts, Hold, Hold]
        assert await numbers(store, "pen") == (0, 3, 0)

    async def test_a_very_large_batch_keeps_its_order(self, store):
        await store.receive(Receipt("more", "mug", 2000))
        outcomes = await store.hold([basket(f"o{index}", mug=1) for index in range(1000)])
        assert [each.order for each in outcomes] == [order_id(f"o{index}") for index in range(1000)]
        assert await numbers(store) == (1010, 1000, 0)

    async def test_a_committed_hold_is_sold_and_a_replay_changes_nothing(self, store):
        await hold(store, "a", mug=2)
        for _ in range(2):
            assert (await commit(store, "a")).state is State.COMMITTED
        assert await numbers(store) == (8, 0, 2)
        assert (await hold(store, "a", mug=2)).state is State.COMMITTED

    async def test_held_and_sold_units_are_released_once(self, store):
        await hold(store, "a", mug=2)
        await hold(store, "b", mug=3)
        await commit(store, "b")
        for _ in range(2):
            assert (await release(store, "a")).state is State.RELEASED
            assert (await release(store, "b", 1, held_in=1, mug=3)).state is State.RELEASED
        assert await numbers(store) == (10, 0, 0)

    async def test_sold_units_are_released_only_by_the_orders_cancellation(self, store):
        await hold(store, "a", mug=2)
        await commit(store, "a")
        assert isinstance(await release(store, "a"), HoldCommitted)
        assert await numbers(store) == (8, 0, 2)

    async def test_a_hold_after_its_release_is_refused(self, store):
        await release(store, "a")
        assert isinstance(await hold(store, "a", mug=2), HoldReleased)
        assert await numbers(store) == (10, 0, 0)

    async def test_a_commit_after_the_release_sells_nothing(self, store):
        await hold(store, "a", mug=2)
        await release(store, "a")
        assert isinstance(await commit(store, "a", mug=2), HoldReleased)
        assert await numbers(store) == (10, 0, 0)

    async def test_a_replayed_commit_counts_once(self, store):
        """Also as the delivery that follows it."""
        await hold(store, "a", mug=2)
        for _ in range(2):
            assert isinstance(await commit(store, "a", mug=2), Hold)
        (handed_over,) = await store.commit([Sale(order_id("a"), lines(mug=2), 1, 0, handed_over=True)])
        assert handed_over.state is State.COMMITTED
        assert await numbers(store) == (8, 0, 2)

    async def test_a_hold_of_a_sold_order_reports_that_it_is_sold(self, store):
        await hold(store, "a", mug=2)
        await commit(store, "a")
        again = await hold(store, "a", mug=2)
        assert (again.state, again.lines) == (State.COMMITTED, (Line("mug", 2, Money.of("EUR", 12, 900_000_000)),))
        assert again.expire_ms is None
        assert isinstance(await hold(store, "a", unicorn=1), UnknownProducts)
        assert await numbers(store) == (8, 0, 2)

    async def test_a_cancellation_releases_what_an_older_generation_sold(self, store):
        """A rebuild counted the order as sold: there is neither a hold nor a remembered outcome."""
        await hold(store, "other", mug=5)
        await commit(store, "other")
        for _ in range(2):
            assert (await release(store, "a", 1, held_in=0, mug=3)).state is State.RELEASED
        assert await numbers(store) == (8, 0, 2)
        assert isinstance(await hold(store, "a", mug=3), HoldReleased)

    async def test_a_cancellation_from_an_older_generation_is_already_included(self, make_store):
        store = await make_store(generation=5)
        await list_product(store, "mug", 10)
        assert isinstance(await release(store, "a", 4, held_in=3, mug=3), HoldSettled)
        assert await numbers(store) == (10, 0, 0)
        assert isinstance(await hold(store, "a", mug=3), HoldReleased)

    async def test_a_cancellation_of_a_later_generation_reveals_an_outdated_stock(self, store):
        await hold(store, "a", mug=3)
        assert isinstance(await release(store, "a", 2, held_in=1, mug=3), Ahead)
        assert await numbers(store) == (7, 3, 0)

    async def test_a_stray_hold_is_released_beside_the_orders_sold_units(self, make_store):
        store = await make_store(generation=5)
        await list_product(store, "mug", 10)
        await hold(store, "other", mug=4)
        await commit(store, "other", 5)
        await hold(store, "a", mug=2)
        assert isinstance(await release(store, "a", 5, held_in=3, mug=2), Hold)
        assert await numbers(store) == (8, 0, 2)

    async def test_a_cancelled_order_without_an_applied_commit_releases_nothing(self, store):
        """Its CONFIRMED event is a dead letter: without a remembered commit nothing was sold."""
        await hold(store, "other", mug=4)
        await commit(store, "other")
        now = int(time.time() * 1000)
        assert isinstance(await release(store, "a", 1, held_in=1, at_ms=now, created_ms=now, mug=2), Hold)
        assert await numbers(store) == (6, 0, 4)

    async def test_a_cancellation_of_more_than_was_sold_creates_no_units(self, store):
        assert isinstance(await release(store, "a", 1, held_in=0, mug=3), Undecided)
        assert await numbers(store) == (10, 0, 0)

    async def test_an_expired_lease_releases_its_units_once(self, make_store, pass_time):
        store = await expiring(make_store)
        await hold(store, "a", mug=4)
        await pass_time(0.05)
        due = await store.claim_expired(claim_ms=10_000)
        assert due == [order_id("a")]
        assert await store.expire(due) == 1
        assert await store.expire(due) == 0
        assert await numbers(store) == (10, 0, 0)

    async def test_a_claimed_lease_is_not_claimed_again_for_a_while(self, make_store, pass_time):
        store = await expiring(make_store)
        await hold(store, "a", mug=4)
        await pass_time(0.05)
        assert await store.claim_expired(claim_ms=80) == [order_id("a")]
        assert await store.claim_expired(claim_ms=80) == []
        await pass_time(0.1)
        assert await store.claim_expired(claim_ms=80) == [order_id("a")]

    async def test_an_unexpired_lease_is_never_ended(self, store):
        await hold(store, "a", mug=4)
        assert await store.claim_expired(claim_ms=10_000) == []
        assert await store.expire([order_id("a")]) == 0
        assert await numbers(store) == (6, 4, 0)

    async def test_a_lease_lasts_for_a_grace_period_beyond_its_expiry(self, make_store, pass_time):
        store = await expiring(make_store, grace_ms=60_000)
        await hold(store, "a", mug=4)
        await pass_time(0.05)
        assert await store.claim_expired(claim_ms=10_000) == []
        assert await store.expire([order_id("a")]) == 0

    async def test_a_repeated_hold_renews_its_lease(self, store, pass_time):
        first = await hold(store, "a", mug=1)
        await pass_time(0.02)
        again = await hold(store, "a", mug=1)
        assert again.expire_ms > first.expire_ms

    async def test_a_committed_hold_never_expires(self, make_store, pass_time):
        store = await expiring(make_store)
        await hold(store, "a", mug=4)
        await commit(store, "a")
        await pass_time(0.05)
        assert await store.claim_expired(claim_ms=10_000) == []
        assert await store.expire([order_id("a")]) == 0
        assert await numbers(store) == (6, 0, 4)

    async def test_an_order_with_an_expired_lease_may_hold_again(self, make_store, pass_time):
        store = await expiring(make_store)
        await hold(store, "a", mug=4)
        await let_expire(store, "a", pass_time)
        assert (await hold(store, "a", mug=4)).state is State.HELD
        assert await numbers(store) == (6, 4, 0)

    async def test_a_confirmed_order_with_an_expired_lease_gets_its_units_back(self, make_store, pass_time):
        store = await expiring(make_store)
        await hold(store, "a", mug=4)
        await let_expire(store, "a", pass_time)
        assert isinstance(await commit(store, "a", mug=4), HoldGone)
        assert (await commit(store, "a", mug=4, owned=True)).late
        assert not (await commit(store, "a", mug=4, owned=True)).late
        assert await numbers(store) == (6, 0, 4)

    @pytest.mark.parametrize(("confirmed_in", "present"), [(4, 5), (1, 2)])
    async def test_an_order_confirmed_before_a_rebuild_is_included_in_it(self, confirmed_in, present, make_store):
        store = await make_store(generation=present)
        await list_product(store, "mug", 10)
        assert isinstance(await commit(store, "a", generation=confirmed_in, mug=1), HoldSettled)
        assert await numbers(store) == (10, 0, 0)

    async def test_a_commit_of_a_later_generation_reveals_an_outdated_stock(self, store):
        assert isinstance(await commit(store, "a", generation=2, mug=1), Ahead)
        assert await numbers(store) == (10, 0, 0)

    async def test_a_stray_hold_of_an_order_from_before_a_rebuild_is_not_sold_again(self, make_store):
        store = await make_store(generation=5)
        await list_product(store, "mug", 10)
        await hold(store, "a", mug=1)
        assert isinstance(await commit(store, "a", generation=4, mug=1), HoldSettled)
        assert await numbers(store) == (9, 1, 0)

    async def test_committing_without_a_hold_needs_owner_and_lines(self, store):
        assert isinstance(await commit(store, "a", owned=True), HoldGone)
        assert isinstance(await commit(store, "a", mug=1), HoldGone)
        assert isinstance(await commit(store, "a", unicorn=1, owned=True), UnknownProduct)
        assert (await commit(store, "a", mug=1, owned=True)).late
        assert await numbers(store) == (9, 0, 1)

    async def test_units_are_received_once_per_request_id(self, store):
        receipt = Receipt("ada r", "mug", 5)
        assert await store.reserve(receipt) is None
        assert await store.receive(receipt) == Stock(15, 15)
        await hold(store, "a", mug=1)
        # The first response, not the current stock.
        assert await store.receive(receipt) == Stock(15, 15)
        assert await store.reserve(receipt) == Stock(15, 15)
        assert await numbers(store) == (14, 1, 0)

    async def test_a_request_id_cannot_be_reused_with_other_contents(self, store):
        await store.reserve(Receipt("ada r", "mug", 5))
        for other in (Receipt("ada r", "mug", 6), Receipt("ada r", "pen", 5)):
            with pytest.raises(IdempotencyKeyReused):
                await store.reserve(other)
            with pytest.raises(IdempotencyKeyReused):
                await store.receive(other)
        with pytest.raises(UnknownProduct):
            await store.reserve(Receipt("ada s", "unicorn", 1))

    async def test_an_older_listing_does_not_undo_a_later_one(self, store):
        listing = (await store.product("mug")).listing
        renamed = type(listing)("mug", "Big mug", listing.description, listing.unit_price, 3)
        await store.list_product(renamed, 2000)
        await store.list_product(listing, 1000)
        product = await store.product("mug")
        assert product.listing == renamed
        assert product.stock == Stock(10, 10)

    async def test_pages_of_products_have_each_one_once(self, store):
        for name in ("axe", "zip", "mat"):
            await list_product(store, name, 1)
        found, after = [], None
        while page := await store.products(after=after, limit=2):
            found += [each.listing.product for each in page]
            after = found[-1]
        assert found == ["axe", "mat", "mug", "pen", "zip"]

    async def test_holds_are_returned_for_orders_that_have_one(self, store):
        await hold(store, "a", mug=2)
        await release(store, "b")
        await hold(store, "c", mug=1)
        await commit(store, "c")
        found = await store.holds_of([order_id(name) for name in ("b", "nobody", "a", "c")])
        described = [(each.order, each.state, [line.quantity for line in each.lines]) for each in found]
        assert described == [
            (order_id("b"), State.RELEASED, []),
            (order_id("a"), State.HELD, [2]),
            (order_id("c"), State.COMMITTED, []),
        ]

    async def test_every_open_hold_is_on_a_page_and_no_other(self, store):
        await list_product(store, "cup", 1000)
        for number in range(200):
            await hold(store, f"held{number}", cup=1)
        for number in range(30):
            await hold(store, f"sold{number}", cup=1)
            await commit(store, f"sold{number}")
            await hold(store, f"released{number}", cup=1)
            await release(store, f"released{number}")
        found, cursor = set(), "0"
        while cursor:
            page, cursor = await store.open_holds(cursor=cursor, limit=10)
            found |= {(each.order, each.state) for each in page}
        assert found == {(order_id(f"held{n}"), State.HELD) for n in range(200)}

    async def test_a_basket_of_two_currencies_holds_nothing(self, store):
        await list_product(store, "imported", 5, price=Money.of("USD", 3, 0))
        refused = await hold(store, "a", mug=2, imported=1)
        assert isinstance(refused, MixedCurrencies)
        assert refused.metadata["currencies"] == "EUR, USD"
        assert await numbers(store, "mug") == (10, 0, 0)
        assert await numbers(store, "imported") == (5, 0, 0)
        assert isinstance(await hold(store, "b", imported=1), Hold)

    @pytest.mark.parametrize(
        ("units", "outcome"), [(4_500_000_000_000_000_000, Hold), (4_700_000_000_000_000_000, None)]
    )
    async def test_a_basket_with_a_total_out_of_range_holds_nothing(self, store, units, outcome):
        await list_product(store, "diamond", 5, price=Money.of("EUR", units, 0))
        assert isinstance(await hold(store, "a", diamond=2), outcome or TotalTooLarge)
        assert await numbers(store, "diamond") == ((3, 2, 0) if outcome else (5, 0, 0))
