"""The use cases on their ports."""

import asyncio

import pytest

from inventory_svc.holds import Inventory
from inventory_svc.stock import Basket, Hold, HoldGone, Line, Listing, Money, Product, Receipt, Sale, State, Stock
from runtime.errors import Unavailable

LINES = (Line("mug", 1),)
LISTING = Listing("mug", "Mug", "", Money("EUR", 1), 0)


class Store:
    class scripts:  # noqa: N801 - an attribute of the real one
        generation = 6

    def __init__(self):
        self.scripts_run = 0
        self.gone = set()
        self.done = []
        self.before = None

    async def hold(self, baskets):
        self.scripts_run += 1
        await asyncio.sleep(0.01)
        return [Hold(basket.order, basket.lines, State.HELD, 6, 1) for basket in baskets]

    async def commit(self, sales, *, owned=False):
        return [
            HoldGone(sale.order)
            if sale.order in self.gone and not owned
            else Hold(sale.order, sale.lines, State.COMMITTED, 6, late=owned)
            for sale in sales
        ]

    async def reserve(self, receipt):
        self.done.append("reserved")
        return self.before

    async def receive(self, receipt):
        self.done.append("received")
        return Stock(15, 15)

    async def product(self, name):
        return Product(LISTING, Stock(99, 99))


class Ledger:
    def __init__(self, done):
        self.done = done
        self.down = False

    async def record_receipts(self, receipts):
        if self.down:
            raise Unavailable("Kafka does not answer")
        self.done.append("recorded")


class Orders:
    def __init__(self):
        self.known = set()
        self.asked = []

    async def owners(self, orders, *, generation):
        self.asked.append((list(orders), generation))
        return self.known


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def ledger(store):
    return Ledger(store.done)


@pytest.fixture
def orders():
    return Orders()


@pytest.fixture
def inventory(store, ledger, orders):
    return Inventory(store, ledger, orders)


async def test_holds_that_come_together_go_in_one_script(inventory, store):
    holds = await asyncio.gather(*(inventory.hold(Basket(f"o{index}", LINES)) for index in range(60)))
    assert [each.order for each in holds] == [f"o{index}" for index in range(60)]
    assert store.scripts_run == 1


async def test_orders_are_asked_only_about_holds_that_are_gone(inventory, store, orders):
    store.gone, orders.known = {"b", "c"}, {"b"}
    a, b, c = await inventory.commit_all([Sale(order, LINES, 6) for order in "abc"])
    assert (a.late, b.late) == (False, True)
    assert isinstance(c, HoldGone)
    assert orders.asked == [(["b", "c"], 6)]


async def test_a_receipt_is_durable_before_it_counts(inventory, store):
    restocked = await inventory.restock(Receipt("ada r", "mug", 5))
    assert store.done == ["reserved", "recorded", "received"]
    assert (restocked.product.stock, restocked.repeated) == (Stock(15, 15), False)


async def test_a_receipt_that_is_not_durable_does_not_count(inventory, store, ledger):
    ledger.down = True
    with pytest.raises(Unavailable):
        await inventory.restock(Receipt("ada r", "mug", 5))
    assert "received" not in store.done


async def test_a_repeated_receipt_gets_the_first_answer_and_is_not_written_again(inventory, store):
    store.before = Stock(15, 15)
    restocked = await inventory.restock(Receipt("ada r", "mug", 5))
    assert (restocked.product.stock, restocked.repeated) == (Stock(15, 15), True)
    assert store.done == ["reserved"]
