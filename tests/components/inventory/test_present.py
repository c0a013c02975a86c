"""The present stock tells what its ledger must have."""

import json

from inventory_svc import catalogue
from inventory_svc.present import PresentStock
from inventory_svc.scripts import MARKER
from inventory_svc.stock import Receipt
from tests.components.inventory.conftest import PREFIX, fresh_store

MUG = catalogue.LISTINGS[0]


async def furnished_shop(redis):
    store = await fresh_store(redis)
    await store.list_product(MUG, 5)
    await store.receive(Receipt("ada 1", MUG.product, 10))
    return store


async def test_listings_and_receipts_that_took_effect_are_published(redis):
    store = await furnished_shop(redis)
    await store.reserve(Receipt("bob 1", MUG.product, 3))
    assert await PresentStock(redis).entries() == [(MUG, 5), Receipt("ada 1", MUG.product, 10)]


async def test_receipts_of_a_rebuilt_stock_are_published(redis):
    await furnished_shop(redis)
    await redis.hset(f"{PREFIX}receipts", "eve 1", json.dumps([MUG.product, 4, True]))
    assert Receipt("eve 1", MUG.product, 4) in await PresentStock(redis).entries()


async def test_without_a_stock_or_with_one_of_another_format_there_is_nothing(redis):
    assert await PresentStock(redis).entries() == []
    await furnished_shop(redis)
    await redis.hset(MARKER, "format", "1")
    assert await PresentStock(redis).entries() == []


async def test_what_cannot_be_read_is_passed_over(redis):
    await furnished_shop(redis)
    await redis.hset(f"{PREFIX}receipts", mapping={"x": "{", "y": "[]", "z": '["mug", "many", true]'})
    await redis.zadd(f"{PREFIX}products", {"ghost": 0})
    assert await PresentStock(redis).entries() == [(MUG, 5), Receipt("ada 1", MUG.product, 10)]
