"""The gRPC API of inventory: requests and responses."""

import uuid

import pytest
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2

from inventory_svc.api import MAX_BATCH_LINES, InventoryService
from inventory_svc.holds import Restocked
from inventory_svc.refusals import OutOfStock, Rebuilding
from inventory_svc.stock import Basket, Hold, Line, Listing, Product, State, Stock
from runtime.errors import InvalidArgument, Unavailable
from runtime.money import Money
from runtime.refusals import OperatorOnly

ORDER = str(uuid.UUID(int=1))
GONE = str(uuid.UUID(int=2))
NAMES = [f"p{index:03}" for index in range(7)]


def product(name):
    return Product(Listing(name, name.title(), "", Money.of("EUR", 1, 500_000_000), 0), Stock(9, 4, 3, 2))


class Inventory:
    def __init__(self):
        self.received, self.pages, self.rebuilt = [], [], []
        self.outcome = lambda basket: Hold(basket.order, basket.lines, State.HELD, 3, 1_000)

    async def hold(self, basket):
        return self.outcome(basket)

    async def hold_all(self, baskets):
        return [self.outcome(basket) for basket in baskets]

    async def products(self, *, after, limit):
        return [product(name) for name in NAMES if after is None or name > after][:limit]

    async def product(self, name):
        return product(name)

    async def commit(self, order):
        return Hold(order, (Line("mug", 2),), State.COMMITTED, 3)

    async def release(self, order):
        return Hold(order, (), State.RELEASED, 3)

    async def rebuild(self, generation):
        self.rebuilt.append(generation)

    async def holds_of(self, orders):
        return [Hold(order, (Line("mug", 2),), State.HELD, 3, 1_000) for order in orders if order != GONE]

    async def open_holds(self, *, cursor, limit):
        """Return open holds in pages: every page but the last has one; the tokens are numbers."""
        self.pages.append((cursor, limit))
        after = str(int(cursor) + 7)
        hold = Hold(str(uuid.UUID(int=int(cursor) + 1)), (Line("mug", 2),), State.HELD, 3, 1_000)
        return [hold], "" if int(after) > 14 else after

    async def restock(self, receipt):
        repeated = receipt in self.received
        self.received.append(receipt)
        return Restocked(product(receipt.product), repeated)


class Context:
    def __init__(self, **metadata):
        self._metadata = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        self.sent = {}

    def invocation_metadata(self):
        return self._metadata

    def set_trailing_metadata(self, metadata):
        self.sent = dict(metadata)


@pytest.fixture
def inventory():
    return Inventory()


@pytest.fixture
def api(inventory):
    return InventoryService(inventory, inventory, page_key=b"key")


def hold_request(order=ORDER, quantity=2):
    line = inventory_pb2.HoldLine(product="products/mug", quantity=quantity)
    return inventory_service_pb2.HoldStockRequest(order=f"orders/{order}", lines=[line])


async def test_a_hold_has_its_name_expiry_and_generation(api):
    hold = await api.HoldStock(hold_request(), Context())
    assert (hold.name, hold.order) == (f"holds/{ORDER}", f"orders/{ORDER}")
    assert hold.lines[0].product == "products/mug"
    assert (hold.state, hold.generation, hold.expire_time.seconds) == (inventory_pb2.Hold.HELD, 3, 1)


def batch_of_lines(count):
    """Return a batch of baskets with 100 lines that are invalid, and a rest."""
    sizes = [100] * (count // 100) + [count % 100] * (count % 100 > 0)
    baskets = [
        inventory_service_pb2.HoldStockRequest(order=f"orders/{ORDER}", lines=[inventory_pb2.HoldLine()] * size)
        for size in sizes
    ]
    return inventory_service_pb2.BatchHoldStockRequest(requests=baskets)


async def test_a_batch_with_too_many_lines_is_refused_before_a_basket_is_validated(api, monkeypatch):
    validated = []
    monkeypatch.setattr(api, "_checked_basket", validated.append)
    with pytest.raises(InvalidArgument, match="have 12801 lines; 12800 at most") as refused:
        await api.BatchHoldStock(batch_of_lines(MAX_BATCH_LINES + 1), Context())
    assert [each.field for each in refused.value.fields] == ["requests"]
    assert validated == []


async def test_a_batch_with_the_most_lines_has_an_outcome_for_each_basket(api):
    response = await api.BatchHoldStock(batch_of_lines(MAX_BATCH_LINES), Context())
    assert [each.error.code for each in response.outcomes] == [3] * (MAX_BATCH_LINES // 100)


async def test_a_bad_basket_of_a_batch_fails_alone(api):
    request = inventory_service_pb2.BatchHoldStockRequest(
        requests=[hold_request(), hold_request(quantity=0), hold_request("no-uuid"), hold_request()]
    )
    response = await api.BatchHoldStock(request, Context())
    assert [each.WhichOneof("outcome") for each in response.outcomes] == ["hold", "error", "error", "hold"]
    assert response.outcomes[1].error.code == 3
    assert "lines[0].quantity" in response.outcomes[1].error.message


async def test_one_refusal_of_a_batch_does_not_fail_the_call(api, inventory):
    inventory.outcome = lambda basket: OutOfStock(basket.order, [(Line("mug", 2), 0)])
    response = await api.BatchHoldStock(
        inventory_service_pb2.BatchHoldStockRequest(requests=[hold_request()]), Context()
    )
    assert response.outcomes[0].error.code == 9


async def test_a_batch_that_fails_entirely_fails_as_a_call(api, inventory):
    inventory.outcome = lambda basket: Rebuilding()
    request = inventory_service_pb2.BatchHoldStockRequest(requests=[hold_request(), hold_request()])
    with pytest.raises(Rebuilding):
        await api.BatchHoldStock(request, Context())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
async def test_pages_have_every_product_once(api, size):
    found, token = [], ""
    while True:
        request = inventory_service_pb2.ListProductsRequest(page_size=size, page_token=token)
        page = await api.ListProducts(request, Context())
        assert len(page.products) <= size
        found += [each.name for each in page.products]
        token = page.next_page_token
        if not token:
            break
    assert found == [f"products/{name}" for name in NAMES]


async def test_the_last_page_has_no_token(api):
    page = await api.ListProducts(inventory_service_pb2.ListProductsRequest(page_size=len(NAMES)), Context())
    assert (len(page.products), page.next_page_token) == (len(NAMES), "")


async def test_a_page_has_50_products_by_default_and_500_at_most(api, inventory, monkeypatch):
    limits = []

    async def products(*, after, limit):
        limits.append((after, limit))
        return []

    monkeypatch.setattr(inventory, "products", products)
    for size in (0, 1, 500, 501):
        await api.ListProducts(inventory_service_pb2.ListProductsRequest(page_size=size), Context())
    assert limits == [(None, 51), (None, 2), (None, 501), (None, 501)]


async def test_pages_of_holds_continue_and_end(api, inventory):
    found, token = [], ""
    while True:
        page = await api.ListHolds(inventory_service_pb2.ListHoldsRequest(page_size=5, page_token=token), Context())
        found += [each.name for each in page.holds]
        token = page.next_page_token
        if not token:
            break
        assert not token.isdigit()
    assert inventory.pages == [("0", 5), ("7", 5), ("14", 5)]
    assert found == [f"holds/{uuid.UUID(int=number)}" for number in (1, 8, 15)]


async def test_a_page_has_50_holds_by_default_and_500_at_most(api, inventory):
    for size in (0, 1, 500, 501):
        await api.ListHolds(inventory_service_pb2.ListHoldsRequest(page_size=size), Context())
    assert inventory.pages == [("0", 50), ("0", 1), ("0", 500), ("0", 500)]


async def test_a_page_token_of_products_is_invalid_for_holds(api, inventory):
    page = await api.ListProducts(inventory_service_pb2.ListProductsRequest(page_size=1), Context())
    request = inventory_service_pb2.ListHoldsRequest(page_token=page.next_page_token)
    with pytest.raises(InvalidArgument) as refused:
        await api.ListHolds(request, Context())
    assert refused.value.reason == "INVALID_PAGE_TOKEN"
    assert "ListHolds" in refused.value.message
    assert inventory.pages == []


async def test_existing_holds_of_orders_are_returned(api):
    request = inventory_service_pb2.BatchGetHoldsRequest(names=[f"holds/{ORDER}", f"holds/{GONE}"])
    response = await api.BatchGetHolds(request, Context())
    assert [(each.name, each.state) for each in response.holds] == [(f"holds/{ORDER}", inventory_pb2.Hold.HELD)]


async def test_a_hold_is_committed_or_released_by_its_name(api):
    sold = await api.CommitHold(inventory_service_pb2.CommitHoldRequest(name=f"holds/{ORDER}"), Context())
    back = await api.ReleaseHold(inventory_service_pb2.ReleaseHoldRequest(name=f"holds/{ORDER}"), Context())
    assert (sold.order, sold.state) == (f"orders/{ORDER}", inventory_pb2.Hold.COMMITTED)
    assert (back.order, back.state) == (f"orders/{ORDER}", inventory_pb2.Hold.RELEASED)


async def test_a_rebuild_replaces_the_named_generation(api, inventory):
    await api.RebuildStock(inventory_service_pb2.RebuildStockRequest(generation=7), Context())
    assert inventory.rebuilt == [7]


async def test_a_batch_that_fails_entirely_has_the_first_error(api, inventory):
    reasons = iter([Rebuilding(), Unavailable("no Redis")])
    inventory.outcome = lambda basket: next(reasons)
    request = inventory_service_pb2.BatchHoldStockRequest(requests=[hold_request(), hold_request()])
    with pytest.raises(Rebuilding):
        await api.BatchHoldStock(request, Context())


async def test_a_batch_that_fails_partly_succeeds_as_a_call(api, inventory):
    outcomes = iter([Rebuilding(), Hold(ORDER, (Line("mug", 2),), State.HELD, 3, 1_000)])
    inventory.outcome = lambda basket: next(outcomes)
    request = inventory_service_pb2.BatchHoldStockRequest(requests=[hold_request(), hold_request()])
    response = await api.BatchHoldStock(request, Context())
    assert [each.WhichOneof("outcome") for each in response.outcomes] == ["error", "hold"]
    empty = await api.BatchHoldStock(inventory_service_pb2.BatchHoldStockRequest(), Context())
    assert list(empty.outcomes) == []


@pytest.mark.parametrize("token", ["x", "MSA=", "MiBtdWc=", "ÿ", "MSAuLi8uLg==", "MSBw!MDAz"])
async def test_a_forged_page_token_is_rejected_with_its_field(api, token):
    with pytest.raises(InvalidArgument) as refused:
        await api.ListProducts(inventory_service_pb2.ListProductsRequest(page_token=token), Context())
    assert refused.value.fields[0].field == "page_token"


async def test_an_etag_changes_with_the_stock(api, inventory):
    request = inventory_service_pb2.GetProductRequest(name="products/mug")
    first = await api.GetProduct(request, Context())
    assert (await api.GetProduct(request, Context())).etag == first.etag

    async def sold_one(name):
        return Product(product(name).listing, Stock(9, 3, 3, 3))

    inventory.product = sold_one
    assert (await api.GetProduct(request, Context())).etag != first.etag


async def test_only_operators_restock(api, inventory):
    request = inventory_service_pb2.RestockRequest(name="products/mug", quantity=1, request_id="r")
    with pytest.raises(OperatorOnly):
        await api.Restock(request, Context(x_customer_id="ada"))
    assert inventory.received == []


async def test_request_ids_are_scoped_to_the_caller_and_replays_are_marked(api, inventory):
    request = inventory_service_pb2.RestockRequest(name="products/mug", quantity=1, request_id="r")
    replays = []
    for who in ("ada", "bob", "ada"):
        context = Context(x_customer_id=who, x_operator="true")
        await api.Restock(request, context)
        replays.append((context.sent.get("idempotency-replayed"), context.sent.get("x-http-code")))
    assert len(set(inventory.received)) == 2
    assert replays == [(None, None), (None, None), ("true", "200")]


def test_a_request_is_converted_to_a_basket():
    from inventory_svc.api import _basket

    assert _basket(hold_request()) == Basket(ORDER, (Line("mug", 2),))
