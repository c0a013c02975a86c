"""The test suites of the ports of orders and of customers, on a PostgreSQL: subclasses have the fixture `pool`."""

import pytest

from orders_svc.allocation_store import AllocationStore
from orders_svc.customer_store import CustomerStore
from orders_svc.store import Store
from runtime.notifier import Notifier
from tests.support.customers_port_suite import CustomersPortSuite
from tests.support.orders_port_suite import OrdersPortSuite


class OrdersOnPostgres(OrdersPortSuite):
    @pytest.fixture
    def orders(self, pool):
        return Store(pool, Notifier(pool))

    @pytest.fixture
    def raise_generation(self, pool):
        async def raised():
            await AllocationStore(pool).start_generation()

        return raised


class CustomersOnPostgres(CustomersPortSuite):
    @pytest.fixture
    def orders(self, pool):
        return Store(pool, Notifier(pool), replica="orders-7")

    @pytest.fixture
    def records(self, pool):
        return CustomerStore(pool)

    @pytest.fixture
    def published(self, pool):
        async def rows():
            return [(row["topic"], row["value"]) for row in await pool.fetch("SELECT * FROM outbox ORDER BY id")]

        return rows
