"""The simulated PostgreSQL under orders' real store passes the port's test suite."""

import random
import time

import pytest

from orders_svc.allocation_store import AllocationStore
from orders_svc.store import Store
from runtime.notifier import Notifier
from tests.simulation import postgres
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.support.orders_port_suite import OrdersPortSuite


@pytest.fixture
def pool():
    rng = random.Random(1)
    server = postgres.Server(Network(rng), rng)
    # The suite reads the real clock; its loop uses the machine's time.
    server.process.skew_s = time.time() - postgres.EPOCH_S - time.monotonic()
    return postgres.Pool(server, Process("orders-0"))


class TestOrdersOnSimulatedPostgres(OrdersPortSuite):
    @pytest.fixture
    def orders(self, pool):
        return Store(pool, Notifier(pool))

    @pytest.fixture
    def raise_generation(self, pool):
        async def raised():
            await AllocationStore(pool).start_generation()

        return raised
