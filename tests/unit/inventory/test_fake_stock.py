"""The fake stock passes the ports' test suite, so that tests on it are meaningful."""

import pytest

from tests.support.fakes.stock import FakeStock
from tests.support.stock_port_suite import StockPortSuite, furnished


class TestFakeStock(StockPortSuite):
    @pytest.fixture
    def made(self):
        return []

    @pytest.fixture
    def make_store(self, made):
        async def make(**limits):
            made.append(FakeStock(**limits))
            return made[-1]

        return make

    @pytest.fixture
    async def store(self, make_store):
        return await furnished(await make_store())

    @pytest.fixture
    def pass_time(self, made):
        async def passed(seconds):
            for each in made:
                each.now_ms += int(seconds * 1000)

        return passed
