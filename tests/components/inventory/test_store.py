"""What the stock promises, on a real Redis."""

import asyncio
import time
import uuid

import pytest
from redis.asyncio import Redis

from inventory_svc.connection import connect
from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.scripts import EVENTS, REBUILD_LOCK
from inventory_svc.stock import (
    JUST_NOW_MS,
    Ahead,
    BacklogFull,
    Basket,
    Hold,
    HoldCommitted,
    HoldGone,
    HoldMismatch,
    HoldReleased,
    HoldSettled,
    Line,
    OutOfStock,
    Rebuilding,
    Receipt,
    RequestIdReused,
    Return,
    Sale,
    State,
    Stock,
    Undecided,
    UnknownProduct,
    UnknownProducts,
)
from runtime.money import MixedCurrencies, Money, TotalTooLarge
from tests.components.inventory.conftest import PREFIX, fresh_store, list_product, marked, order_id, store_on


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


async def kinds(redis):
    return [fields["kind"] for _, fields in await redis.xrange(EVENTS)]


async def test_a_basket_is_held_with_the_prices_of_the_moment(store):
    held = await hold(store, "a", mug=2, pen=1)
    assert held.state is State.HELD
    assert held.lines[0] == Line("mug", 2, Money.of("EUR", 12, 900_000_000))
    assert await numbers(store, "mug") == (8, 2, 0)
    assert await numbers(store, "pen") == (2, 1, 0)


async def test_a_basket_with_one_missing_line_holds_nothing(store):
    refused = await hold(store, "a", mug=2, pen=4)
    assert isinstance(refused, OutOfStock)
    assert await numbers(store, "mug") == (10, 0, 0)


async def test_every_missing_line_is_told_at_once_with_its_numbers(store):
    refused = await hold(store, "a", mug=11, pen=4)
    told = [(each.type, each.subject, each.description) for each in refused.violations]
    assert told == [
        ("OUT_OF_STOCK", "products/mug", "11 wanted, 10 available"),
        ("OUT_OF_STOCK", "products/pen", "4 wanted, 3 available"),
    ]


async def test_an_unknown_product_is_told_by_its_line(store):
    refused = await hold(store, "a", mug=1, unicorn=1)
    assert isinstance(refused, UnknownProducts)
    assert [each.field for each in refused.fields] == ["lines[1].product"]
    assert await numbers(store) == (10, 0, 0)


async def test_second_buyer_of_the_last_item_is_refused(store):
    assert isinstance(await hold(store, "a", pen=3), Hold)
    assert isinstance(await hold(store, "b", pen=1), OutOfStock)


async def test_a_repeated_hold_takes_nothing_more(store):
    first = await hold(store, "a", mug=2, pen=1)
    again = await hold(store, "a", pen=1, mug=2)
    assert (again.order, again.lines, again.state) == (first.order, first.lines, first.state)
    assert await numbers(store) == (8, 2, 0)


async def test_a_repeated_hold_of_other_lines_is_refused(store):
    await hold(store, "a", mug=2)
    assert isinstance(await hold(store, "a", mug=3), HoldMismatch)
    assert isinstance(await hold(store, "a", mug=2, pen=1), HoldMismatch)
    assert await numbers(store) == (8, 2, 0)


async def test_each_basket_of_a_batch_has_its_own_outcome(store):
    outcomes = await store.hold(
        [basket("a", pen=2), basket("b", pen=2), basket("c", unicorn=1), basket("d", pen=1), basket("a", pen=2)]
    )
    assert [type(each) for each in outcomes] == [Hold, OutOfStock, UnknownProducts, Hold, Hold]
    assert await numbers(store, "pen") == (0, 3, 0)


async def test_a_batch_that_needs_several_scripts_keeps_its_order(store):
    await store.receive(Receipt("more", "mug", 2000))
    outcomes = await store.hold([basket(f"o{index}", mug=1) for index in range(1000)])
    assert [each.order for each in outcomes] == [order_id(f"o{index}") for index in range(1000)]
    assert await numbers(store) == (1010, 1000, 0)


async def test_a_committed_hold_is_sold_and_a_repeat_changes_nothing(store):
    await hold(store, "a", mug=2)
    for _ in range(2):
        assert (await commit(store, "a")).state is State.COMMITTED
    assert await numbers(store) == (8, 0, 2)
    assert (await hold(store, "a", mug=2)).state is State.COMMITTED


async def test_held_and_sold_stock_can_be_given_back_once(store):
    await hold(store, "a", mug=2)
    await hold(store, "b", mug=3)
    await commit(store, "b")
    for _ in range(2):
        assert (await release(store, "a")).state is State.RELEASED
        assert (await release(store, "b", 1, held_in=1, mug=3)).state is State.RELEASED
    assert await numbers(store) == (10, 0, 0)


async def test_what_is_sold_is_given_back_only_by_its_orders_cancellation(store):
    await hold(store, "a", mug=2)
    await commit(store, "a")
    assert isinstance(await release(store, "a"), HoldCommitted)
    assert await numbers(store) == (8, 0, 2)


async def test_a_hold_that_comes_after_its_release_is_refused(store):
    await release(store, "a")
    assert isinstance(await hold(store, "a", mug=2), HoldReleased)
    assert await numbers(store) == (10, 0, 0)


async def test_a_commit_that_comes_after_the_release_sells_nothing(store):
    await hold(store, "a", mug=2)
    await release(store, "a")
    assert isinstance(await commit(store, "a", mug=2), HoldReleased)
    assert await numbers(store) == (10, 0, 0)


async def test_a_finished_order_takes_no_key_of_its_own(store, redis):
    """What stays is some bytes in a shard, however many orders there were."""
    await hold(store, "a", mug=2)
    await commit(store, "a")
    await hold(store, "b", mug=2)
    await release(store, "b")
    keys = {key.removeprefix(PREFIX).partition(":")[0] async for key in redis.scan_iter(match=f"{PREFIX}*")}
    assert keys == {"products", "product", "receipts", "final", "ticks"}


async def test_a_sale_that_is_told_again_stays_one(store):
    """Also as the hand-over that follows it."""
    await hold(store, "a", mug=2)
    for _ in range(2):
        assert isinstance(await commit(store, "a", mug=2), Hold)
    (handed_over,) = await store.commit([Sale(order_id("a"), lines(mug=2), 1, 0, handed_over=True)])
    assert handed_over.state is State.COMMITTED
    assert await numbers(store) == (8, 0, 2)


async def test_a_sold_order_that_asks_again_is_told_that_it_is_sold(store):
    await hold(store, "a", mug=2)
    await commit(store, "a")
    again = await hold(store, "a", mug=2)
    assert (again.state, again.lines) == (State.COMMITTED, (Line("mug", 2, Money.of("EUR", 12, 900_000_000)),))
    assert again.expire_ms is None
    assert isinstance(await hold(store, "a", unicorn=1), UnknownProducts)
    assert await numbers(store) == (8, 0, 2)


async def test_a_cancellation_in_this_generation_gives_back_what_an_older_one_sold(store):
    """A rebuild counted the order as sold: there is neither a hold nor anything remembered."""
    await hold(store, "other", mug=5)
    await commit(store, "other")
    for _ in range(2):
        assert (await release(store, "a", 1, held_in=0, mug=3)).state is State.RELEASED
    assert await numbers(store) == (8, 0, 2)
    assert isinstance(await hold(store, "a", mug=3), HoldReleased)


async def test_a_cancellation_before_this_generation_is_in_it_already(redis):
    store = await fresh_store(redis, generation=5)
    await list_product(store, "mug", 10)
    assert isinstance(await release(store, "a", 4, held_in=3, mug=3), HoldSettled)
    assert await numbers(store) == (10, 0, 0)
    assert isinstance(await hold(store, "a", mug=3), HoldReleased)


async def test_a_cancellation_in_a_later_generation_shows_that_redis_is_old(store):
    await hold(store, "a", mug=3)
    assert isinstance(await release(store, "a", 2, held_in=1, mug=3), Ahead)
    assert await numbers(store) == (7, 3, 0)


async def test_a_stray_hold_is_given_back_beside_what_its_order_bought_before(redis):
    store = await fresh_store(redis, generation=5)
    await list_product(store, "mug", 10)
    await hold(store, "other", mug=4)
    await commit(store, "other", 5)
    await hold(store, "a", mug=2)
    assert isinstance(await release(store, "a", 5, held_in=3, mug=2), Hold)
    assert await numbers(store) == (8, 0, 2)


async def test_a_cancelled_order_whose_sale_never_took_effect_gives_nothing_back(store):
    """Its CONFIRMED event is a dead letter: what is not remembered as sold was not."""
    await hold(store, "other", mug=4)
    await commit(store, "other")
    now = int(time.time() * 1000)
    assert isinstance(await release(store, "a", 1, held_in=1, at_ms=now, created_ms=now, mug=2), Hold)
    assert await numbers(store) == (6, 0, 4)


async def test_a_cancellation_of_more_than_was_ever_sold_makes_up_no_units(store):
    assert isinstance(await release(store, "a", 1, held_in=0, mug=3), Undecided)
    assert await numbers(store) == (10, 0, 0)


async def aged(redis, store, order, ticks):
    """Let *order* have become final so much earlier, in steps of ten minutes."""
    shard = int(order_id(order)[:4], 16) // 4
    key, field = f"{PREFIX}final:{shard}", uuid.UUID(order_id(order)).bytes
    raw = connect_raw(redis)
    value = int(await raw.hget(key, field))
    await raw.hset(key, field, value - 4 * ticks)
    await redis.hincrby(f"{PREFIX}ticks", value // 4, -1)
    await redis.hincrby(f"{PREFIX}ticks", value // 4 - ticks, 1)
    await raw.aclose()


def connect_raw(redis):
    path = redis.connection_pool.connection_kwargs["path"]
    return Redis(unix_socket_path=path)


async def forget_all(store):
    forgotten = 0
    while True:
        memory = await store.forget()
        forgotten += memory.forgotten
        if not memory.more:
            return forgotten, memory.remembered


async def test_final_orders_are_forgotten_when_they_are_old(redis, store):
    await hold(store, "old", mug=1)
    await commit(store, "old")
    await release(store, "new")
    assert await forget_all(store) == (0, 2)
    await aged(redis, store, "old", 2)
    assert await forget_all(store) == (1, 1)
    (found,) = await store.holds_of([order_id("old"), order_id("new")])
    assert found.order == order_id("new")
    assert await numbers(store) == (9, 0, 1)


async def test_of_too_many_final_orders_the_oldest_are_forgotten(redis, store):
    store = store_on(redis, store.current, keep_ms=10**9, remembered=3)
    for number in range(8):
        await release(store, f"o{number}")
        await aged(redis, store, f"o{number}", 20 - number)
    assert await forget_all(store) == (5, 3)
    found = await store.holds_of([order_id(f"o{number}") for number in range(8)])
    assert {each.order for each in found} == {order_id(f"o{number}") for number in (5, 6, 7)}


async def test_what_became_final_just_now_is_kept_however_many_there_are(redis, store):
    store = store_on(redis, store.current, remembered=3)
    for number in range(8):
        await release(store, f"o{number}")
    assert await forget_all(store) == (0, 8)


async def test_what_happened_before_anything_was_forgotten_cannot_be_decided(redis, store):
    await hold(store, "sold", mug=1)
    await commit(store, "sold")
    await aged(redis, store, "sold", 10)
    before = int(time.time() * 1000) - 600_000 * 10
    await forget_all(store)
    (again,) = await store.commit([Sale(order_id("sold"), lines(mug=1), 1, before)], owned=True)
    assert isinstance(again, Undecided)
    assert isinstance(await release(store, "x", 1, held_in=0, at_ms=before, mug=1), Undecided)
    # What happens from now on can, and so can the hand-over of what was sold then.
    (handed_over,) = await store.commit([Sale(order_id("sold"), lines(mug=1), 1, before, handed_over=True)])
    assert isinstance(handed_over, HoldSettled)
    now = int(time.time() * 1000)
    assert isinstance(await release(store, "sold", 1, held_in=1, at_ms=now, created_ms=before, mug=1), Hold)
    assert await numbers(store) == (10, 0, 0)


async def expired_store(redis, *, grace_ms=0):
    store = await fresh_store(redis, lease_ms=30, grace_ms=grace_ms)
    await list_product(store, "mug", 10)
    return store


async def test_an_ended_lease_gives_its_stock_back_once(redis):
    store = await expired_store(redis)
    await hold(store, "a", mug=4)
    await asyncio.sleep(0.05)
    due = await store.claim_expired(claim_ms=10_000)
    assert due == [order_id("a")]
    assert await store.expire(due) == 1
    assert await store.expire(due) == 0
    assert await numbers(store) == (10, 0, 0)


async def test_a_claimed_lease_is_nobody_elses_for_a_while(redis):
    store = await expired_store(redis)
    await hold(store, "a", mug=4)
    await asyncio.sleep(0.05)
    assert await store.claim_expired(claim_ms=80) == [order_id("a")]
    assert await store.claim_expired(claim_ms=80) == []
    await asyncio.sleep(0.1)
    assert await store.claim_expired(claim_ms=80) == [order_id("a")]


async def test_a_running_lease_is_not_ended_whoever_asks(store):
    await hold(store, "a", mug=4)
    assert await store.claim_expired(claim_ms=10_000) == []
    assert await store.expire([order_id("a")]) == 0
    assert await numbers(store) == (6, 4, 0)


async def test_a_lease_counts_for_its_grace_beyond_what_the_holder_was_told(redis):
    store = await expired_store(redis, grace_ms=60_000)
    await hold(store, "a", mug=4)
    await asyncio.sleep(0.05)
    assert await store.claim_expired(claim_ms=10_000) == []
    assert await store.expire([order_id("a")]) == 0


async def test_a_repeated_hold_starts_its_lease_again(store):
    first = await hold(store, "a", mug=1)
    await asyncio.sleep(0.02)
    again = await hold(store, "a", mug=1)
    assert again.expire_ms > first.expire_ms


async def test_a_committed_hold_never_expires(redis):
    store = await expired_store(redis)
    await hold(store, "a", mug=4)
    await commit(store, "a")
    await asyncio.sleep(0.05)
    assert await store.claim_expired(claim_ms=10_000) == []
    assert await store.expire([order_id("a")]) == 0
    assert await numbers(store) == (6, 0, 4)


async def let_expire(store, order):
    await asyncio.sleep(0.05)
    assert await store.expire([order_id(order)]) == 1


async def test_an_order_whose_lease_ended_may_hold_again(redis):
    store = await expired_store(redis)
    await hold(store, "a", mug=4)
    await let_expire(store, "a")
    assert (await hold(store, "a", mug=4)).state is State.HELD
    assert await numbers(store) == (6, 4, 0)


async def test_a_confirmed_order_whose_lease_ended_gets_its_stock_again(redis):
    store = await expired_store(redis)
    await hold(store, "a", mug=4)
    await let_expire(store, "a")
    assert isinstance(await commit(store, "a", mug=4), HoldGone)
    assert (await commit(store, "a", mug=4, owned=True)).late
    assert not (await commit(store, "a", mug=4, owned=True)).late
    assert await numbers(store) == (6, 0, 4)


async def test_what_a_late_commit_cannot_find_is_short_and_served_before_new_buyers(redis):
    store = await expired_store(redis)
    await hold(store, "a", mug=4)
    await let_expire(store, "a")
    await hold(store, "b", mug=9)
    await commit(store, "a", mug=4, owned=True)
    assert (await store.product("mug")).stock == Stock(10, 0, 9, 1, short=3)
    assert (await store.audit()).short == 3
    assert "short" in await kinds(redis)
    await store.receive(Receipt("r", "mug", 2))
    assert (await store.product("mug")).stock == Stock(12, 0, 9, 3, short=1)
    await release(store, "b")
    assert (await store.product("mug")).stock == Stock(12, 8, 0, 4, short=0)
    await release(store, "a", 1, held_in=1, mug=4)
    assert await numbers(store) == (12, 0, 0)


@pytest.mark.parametrize(("confirmed_in", "present"), [(4, 5), (1, 2)])
async def test_an_order_confirmed_before_a_rebuild_is_settled_by_it(redis, confirmed_in, present):
    await redis.flushall()
    store = await fresh_store(redis, generation=present)
    await list_product(store, "mug", 10)
    assert isinstance(await commit(store, "a", generation=confirmed_in, mug=1), HoldSettled)
    assert await numbers(store) == (10, 0, 0)


async def test_an_order_confirmed_on_a_later_generation_shows_that_redis_is_old(store):
    assert isinstance(await commit(store, "a", generation=2, mug=1), Ahead)
    assert await numbers(store) == (10, 0, 0)


async def test_a_stray_hold_of_an_order_from_before_a_rebuild_is_not_sold_again(redis):
    store = await fresh_store(redis, generation=5)
    await list_product(store, "mug", 10)
    await hold(store, "a", mug=1)
    assert isinstance(await commit(store, "a", generation=4, mug=1), HoldSettled)
    assert await numbers(store) == (9, 1, 0)


async def test_committing_what_was_never_held_needs_its_owner_and_its_lines(store):
    assert isinstance(await commit(store, "a", owned=True), HoldGone)
    assert isinstance(await commit(store, "a", mug=1), HoldGone)
    assert isinstance(await commit(store, "a", unicorn=1, owned=True), UnknownProduct)
    assert (await commit(store, "a", mug=1, owned=True)).late
    assert await numbers(store) == (9, 0, 1)


async def test_units_come_in_once_for_each_request(store):
    receipt = Receipt("ada r", "mug", 5)
    assert await store.reserve(receipt) is None
    assert await store.receive(receipt) == Stock(15, 15)
    await hold(store, "a", mug=1)
    # The answer of the first time, not the stock of now.
    assert await store.receive(receipt) == Stock(15, 15)
    assert await store.reserve(receipt) == Stock(15, 15)
    assert await numbers(store) == (14, 1, 0)


async def test_a_request_id_cannot_bring_something_else(store):
    await store.reserve(Receipt("ada r", "mug", 5))
    for other in (Receipt("ada r", "mug", 6), Receipt("ada r", "pen", 5)):
        with pytest.raises(RequestIdReused):
            await store.reserve(other)
        with pytest.raises(RequestIdReused):
            await store.receive(other)
    with pytest.raises(UnknownProduct):
        await store.reserve(Receipt("ada s", "unicorn", 1))


async def test_an_older_listing_does_not_undo_a_later_one(store):
    listing = (await store.product("mug")).listing
    renamed = type(listing)("mug", "Big mug", listing.description, listing.unit_price, 3)
    await store.list_product(renamed, 2000)
    await store.list_product(listing, 1000)
    product = await store.product("mug")
    assert product.listing == renamed
    assert product.stock == Stock(10, 10)


async def test_pages_of_products_miss_and_repeat_none(store):
    for name in ("axe", "zip", "mat"):
        await list_product(store, name, 1)
    found, after = [], None
    while page := await store.products(after=after, limit=2):
        found += [each.listing.product for each in page]
        after = found[-1]
    assert found == ["axe", "mat", "mug", "pen", "zip"]


async def test_falling_to_the_threshold_is_told_once(redis):
    store = await fresh_store(redis)
    await list_product(store, "mug", 10, low=5)
    await hold(store, "a", mug=4)
    assert "low" not in await kinds(redis)
    await hold(store, "b", mug=1)
    await hold(store, "c", mug=1)
    assert (await kinds(redis)).count("low") == 1
    assert (await store.audit()).low == 1


async def test_every_change_appends_its_event(store, redis):
    await redis.delete(EVENTS)
    await hold(store, "a", mug=4)
    await commit(store, "a")
    await release(store, "a", 1, held_in=1, mug=4)
    await store.receive(Receipt("r", "mug", 2))
    assert await kinds(redis) == ["held", "committed", "released", "restocked"]


async def test_a_sale_after_its_lease_appends_its_event(store, redis):
    await redis.delete(EVENTS)
    assert (await commit(store, "a", owned=True, mug=4)).late
    assert await kinds(redis) == ["committed"]


async def test_refusals_and_repeats_append_no_event(store, redis):
    await hold(store, "a", mug=4)
    await redis.delete(EVENTS)
    await hold(store, "a", mug=4)
    await hold(store, "b", mug=40)
    await store.receive(Receipt("test mug", "mug", 10))
    await release(store, "never")
    assert await kinds(redis) == []


async def test_nothing_more_is_held_while_too_many_events_wait(redis):
    store = await fresh_store(redis, backlog_limit=3)
    await list_product(store, "mug", 10)
    await hold(store, "a", mug=1)
    await hold(store, "b", mug=1)
    assert isinstance(await hold(store, "c", mug=1), BacklogFull)
    # What is held already can be repeated, sold and given back.
    assert isinstance(await hold(store, "a", mug=1), Hold)
    await commit(store, "a")
    await release(store, "b")
    assert await numbers(store) == (9, 0, 1)


async def test_a_stock_that_does_not_add_up_is_found(store, redis):
    assert (await store.audit()).broken == ()
    await redis.hincrby(f"{PREFIX}product:mug", "available", 1)
    assert (await store.audit()).broken == ("mug",)


async def test_emptied_redis_refuses_every_change(store, redis):
    await redis.flushall()
    assert isinstance(await hold(store, "a", mug=1), Rebuilding)
    calls = (
        store.commit([sale("a")]),
        store.release([Return(order_id("a"))]),
        store.expire([order_id("a")]),
        store.product("mug"),
    )
    for call in calls:
        with pytest.raises(Rebuilding):
            await call
    assert store.current.doubted.is_set()
    assert await redis.dbsize() == 0


async def test_redis_that_lost_its_last_changes_refuses(store, redis):
    await hold(store, "a", mug=1)
    await redis.hincrby("stock:marker", "sequence", -1)
    assert isinstance(await hold(store, "b", mug=1), Rebuilding)


async def test_nothing_comes_in_while_a_rebuild_reads_what_came_in(store, redis):
    """It would be added to a stock that is about to be replaced, and be missing in the new one."""
    await redis.set(REBUILD_LOCK, "somebody")
    with pytest.raises(Rebuilding):
        await store.receive(Receipt("r", "mug", 5))
    with pytest.raises(Rebuilding):
        await list_product(store, "cup", 0)
    assert not store.current.doubted.is_set()
    await redis.delete(REBUILD_LOCK)
    assert await store.receive(Receipt("r", "mug", 5)) == Stock(15, 15)


async def test_nothing_is_held_while_orders_do_not_accept_it(store):
    store.current.fence()
    assert isinstance(await hold(store, "a", mug=1), Rebuilding)
    assert await numbers(store) == (10, 0, 0)


async def test_data_of_another_format_is_not_used(store, redis):
    await redis.hset("stock:marker", "format", "1")
    assert isinstance(await hold(store, "a", mug=1), Rebuilding)
    assert store.current.doubted.is_set()


async def test_a_generation_takes_effect_once_however_often_that_is_told(redis):
    await marked(redis, 3, prefix="stock:a:")
    await redis.hset("stock:marker", "sequence", 9)
    await marked(redis, 3, prefix="stock:a:")
    assert await redis.hget("stock:marker", "sequence") == "9"
    with pytest.raises(AssertionError):
        await marked(redis, 3, prefix="stock:b:")
    with pytest.raises(AssertionError):
        await marked(redis, 2, prefix="stock:b:")


async def test_a_thousand_buyers_of_ten_items_get_exactly_ten(store, redis_server):
    """Straight at the store, from several clients at the same time, in small groups."""
    clients = [connect(redis_server.url, connect_timeout_s=2, timeout_s=10, most=16) for _ in range(4)]
    stores = [other_client(client) for client in clients]
    buyers = [str(uuid.uuid4()) for _ in range(1000)]

    async def buy(index):
        # Two lines, so that half a basket would be seen.
        return await stores[index % 4].hold([Basket(buyers[index], lines(mug=1))])

    outcomes = [outcome for (outcome,) in await asyncio.gather(*map(buy, range(1000)))]
    winners = [each.order for each in outcomes if isinstance(each, Hold)]
    assert len(winners) == 10
    assert sum(isinstance(each, OutOfStock) for each in outcomes) == 990
    await store.commit([Sale(order, ()) for order in winners])
    assert await numbers(store) == (0, 0, 10)
    for each in clients:
        await each.aclose()


def other_client(client):
    current = CurrentGeneration()
    current.adopt(Position(1))
    return store_on(client, current)


async def test_holds_are_told_for_the_orders_that_have_one(store):
    await hold(store, "a", mug=2)
    await release(store, "b")
    await hold(store, "c", mug=1)
    await commit(store, "c")
    found = await store.holds_of([order_id(name) for name in ("b", "nobody", "a", "c")])
    told = [(each.order, each.state, [line.quantity for line in each.lines]) for each in found]
    assert told == [
        (order_id("b"), State.RELEASED, []),
        (order_id("a"), State.HELD, [2]),
        (order_id("c"), State.COMMITTED, []),
    ]


async def test_every_open_hold_is_on_a_page_and_no_other(store):
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


async def test_a_basket_of_two_currencies_holds_nothing(store):
    await list_product(store, "imported", 5, price=Money.of("USD", 3, 0))
    refused = await hold(store, "a", mug=2, imported=1)
    assert isinstance(refused, MixedCurrencies)
    assert refused.metadata["currencies"] == "EUR, USD"
    assert await numbers(store, "mug") == (10, 0, 0)
    assert await numbers(store, "imported") == (5, 0, 0)
    assert isinstance(await hold(store, "b", imported=1), Hold)


@pytest.mark.parametrize(("units", "outcome"), [(4_500_000_000_000_000_000, Hold), (4_700_000_000_000_000_000, None)])
async def test_a_basket_that_comes_to_more_than_an_amount_can_say_holds_nothing(store, units, outcome):
    await list_product(store, "diamond", 5, price=Money.of("EUR", units, 0))
    assert isinstance(await hold(store, "a", diamond=2), outcome or TotalTooLarge)
    assert await numbers(store, "diamond") == ((3, 2, 0) if outcome else (5, 0, 0))
