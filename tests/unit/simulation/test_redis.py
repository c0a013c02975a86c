"""The simulated Redis under inventory's real store and scripts passes the ports' test suite."""

import random

import pytest

from tests.components.inventory.conftest import StockOnScriptsSuite, fresh_store
from tests.simulation import redis as simulated
from tests.simulation.network import Network
from tests.support.stock_port_suite import furnished


@pytest.fixture
def server():
    rng = random.Random(1)
    return simulated.Server(Network(rng), rng)


@pytest.fixture
def redis(server):
    return simulated.Client(server, "inventory-0", timeout_s=60)


class TestStockOnSimulatedRedis(StockOnScriptsSuite):
    @pytest.fixture
    async def store(self, redis):
        return await furnished(await fresh_store(redis))
