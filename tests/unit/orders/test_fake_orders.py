"""The fake store passes the port's test suite, so that tests on it are meaningful."""

import pytest

from tests.support.fakes.orders import FakeOrders
from tests.support.orders_port_suite import OrdersPortSuite


class TestFakeOrders(OrdersPortSuite):
    @pytest.fixture
    def orders(self):
        return FakeOrders()

    @pytest.fixture
    def raise_generation(self, orders):
        async def raised():
            orders.stock_generation += 1

        return raised
