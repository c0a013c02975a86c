"""Inventory's client of orders, over gRPC."""

import grpc
import pytest

from inventory_svc.orders_client import MeshOrders
from inventory_svc.ports import Started
from runtime.errors import Unavailable
from tests.support.stand_ins import Allocations

HELD, BEFORE, NOBODYS = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(3))


@pytest.fixture
async def allocations():
    server = await Allocations().start()
    yield server
    await server.stop()


@pytest.fixture
async def orders(allocations):
    async with grpc.aio.insecure_channel(allocations.address) as channel:
        yield MeshOrders(channel)


async def test_a_new_generation_is_above_the_known_one_and_has_the_owned_units(orders, allocations):
    allocations.generation = 3
    allocations.owned = {HELD: {"mug": 2}, BEFORE: {"mug": 1, "pen": 4}}
    assert await orders.start_generation(above=7) == Started(8, {"mug": 3, "pen": 4})
    assert await orders.start_generation(above=2) == Started(9, {"mug": 3, "pen": 4})
    assert await orders.generation() == 9


async def test_orders_own_holds_confirmed_in_this_generation(orders, allocations):
    allocations.generation = 5
    allocations.owned = {HELD: {"mug": 2}, BEFORE: {"mug": 1}}
    allocations.confirmed_on = {HELD: 5, BEFORE: 4}
    ids = [HELD, BEFORE, NOBODYS]
    assert await orders.owners(ids, generation=5) == {HELD}
    assert await orders.owners(ids, generation=0) == {HELD, BEFORE}


async def test_an_unavailable_orders_service_raises_unavailable(allocations):
    async with grpc.aio.insecure_channel(allocations.address) as channel:
        await allocations.stop()
        with pytest.raises(Unavailable):
            await MeshOrders(channel).generation()
