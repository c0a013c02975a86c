"""The simulated PostgreSQL under orders' real store passes the port's test suite."""

import random
import time

import pytest

from tests.simulation import postgres
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.support.postgres_suites import OrdersOnPostgres


@pytest.fixture
def pool():
    rng = random.Random(1)
    server = postgres.Server(Network(rng), rng)
    # The suite reads the real clock; its loop uses the machine's time.
    server.process.skew_s = time.time() - postgres.EPOCH_S - time.monotonic()
    return postgres.Pool(server, Process("orders-0"))


class TestOrdersOnSimulatedPostgres(OrdersOnPostgres):
    pass
