"""The client of inventory: which errors reject an order, which mean unavailability, and the breaker's log."""

import asyncio
import uuid

import grpc
import pytest
from google.type.money_pb2 import Money as MoneyMessage
from prometheus_client import REGISTRY
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from structlog.testing import capture_logs

from orders_svc.breaker import Breaker
from orders_svc.discrepancies import HoldSeen, StockSeen
from orders_svc.inventory_client import HoldBatcher, MeshInventory, MeshStock, hold_of
from orders_svc.order import Line
from runtime.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from runtime.money import Money
from runtime.status import to_status

LINES = (Line("products/tea", 1),)


class Stub:
    """Returns *answer* for each basket, or fails the whole call with *failure*."""

    def __init__(self):
        self.batches = []
        self.failure = None
        self.answer = lambda request: hold(request)
        self.delay_s = 0

    async def BatchHoldStock(self, request, timeout):  # noqa: ASYNC109 - gRPC's own form
        self.batches.append(len(request.requests))
        await asyncio.sleep(self.delay_s)
        if self.failure:
            raise self.failure
        outcomes = [self.answer(each) for each in request.requests]
        return inventory_service_pb2.BatchHoldStockResponse(outcomes=outcomes)


def hold(request):
    lines = [
        inventory_pb2.HoldLine(product=line.product, unit_price=MoneyMessage(currency_code="EUR", units=1, nanos=5))
        for line in request.lines
    ]
    return inventory_service_pb2.HoldStockOutcome(hold=inventory_pb2.Hold(lines=lines, generation=4))


def refused(error):
    return lambda _: inventory_service_pb2.HoldStockOutcome(error=to_status(error, "inventory.shop.example.com"))


def rpc_error(code, text):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), text)


@pytest.fixture
def stub():
    return Stub()


@pytest.fixture
def inventory(stub):
    return MeshInventory(stub, Breaker("inventory.test"), timeout_s=1)


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("HOLD_MISMATCH", "IDEMPOTENCY_KEY_REUSED"),
        ("HOLD_RELEASED", "REQUEST_REFUSED"),
        ("SOMETHING_NEW", "REQUEST_REFUSED"),
        ("OUT_OF_STOCK", "OUT_OF_STOCK"),
    ],
)
async def test_inventorys_rejection_becomes_an_error_of_orders(inventory, stub, reason, ours):
    metadata = {"order": "orders/x", "products": "products/tea"}
    stub.answer = refused(FailedPrecondition("of it", reason=reason, metadata=metadata))
    with pytest.raises((FailedPrecondition, InvalidArgument)) as raised:
        await inventory.hold(uuid.uuid4(), LINES)
    assert raised.value.reason == ours
    assert "holds/" not in raised.value.message
    assert "order" not in raised.value.metadata


async def test_a_hold_has_generation_and_prices(inventory):
    held = await inventory.hold(uuid.uuid4(), LINES)
    assert (held.generation, held.prices) == (4, {"products/tea": Money("EUR", 1_000_000_005)})
    assert held.expire_time is None


async def test_concurrent_holds_share_a_batch(inventory, stub):
    stub.delay_s = 0.01
    await asyncio.gather(*(inventory.hold(uuid.uuid4(), LINES) for _ in range(200)))
    assert sum(stub.batches) == 200
    assert len(stub.batches) == 2


async def test_a_hanging_call_does_not_delay_later_ones(inventory, stub):
    stub.delay_s = 60
    stuck = asyncio.create_task(inventory.hold(uuid.uuid4(), LINES))
    await asyncio.sleep(0.1)
    stub.delay_s = 0
    async with asyncio.timeout(1):
        await inventory.hold(uuid.uuid4(), LINES)
    stuck.cancel()


async def test_a_basket_that_waits_behind_a_slow_call_goes_in_another(inventory, stub):
    stub.delay_s = 60
    stuck = asyncio.create_task(inventory.hold(uuid.uuid4(), LINES))
    await asyncio.sleep(0.01)
    stub.delay_s = 0
    async with asyncio.timeout(1):
        await inventory.hold(uuid.uuid4(), LINES)
    assert not stuck.done()
    assert stub.batches == [1, 1]
    stuck.cancel()


async def test_a_basket_that_waits_behind_slow_calls_only_goes_when_the_first_of_them_ends(inventory, stub):
    calls = asyncio.Queue()

    async def hang(request, timeout):  # noqa: ASYNC109 - gRPC's own form
        ending = asyncio.Event()
        calls.put_nowait(ending)
        await ending.wait()
        return inventory_service_pb2.BatchHoldStockResponse(outcomes=[hold(each) for each in request.requests])

    stub.BatchHoldStock = hang
    waiting = []
    for _ in range(5):
        waiting.append(asyncio.create_task(inventory.hold(uuid.uuid4(), LINES)))
        await asyncio.sleep(0.06)
    endings = [calls.get_nowait() for _ in range(4)]
    assert calls.empty()
    endings[3].set()
    async with asyncio.timeout(1):
        await waiting[3]
        (await calls.get()).set()
        await waiting[4]
    for task in waiting[:3]:
        task.cancel()


@pytest.mark.parametrize(
    ("usual_s", "after_s", "slow"),
    [(0, 0.06, True), (0, 0.04, False), (0.03, 0.1, False), (0.03, 0.13, True), (1, 0.19, False), (1, 0.21, True)],
)
async def test_a_call_is_slow_compared_with_recent_calls(monkeypatch, usual_s, after_s, slow):
    seconds, begun, ending = [0.0], asyncio.Event(), asyncio.Event()
    ending.set()
    monkeypatch.setattr("orders_svc.inventory_client.time.monotonic", lambda: seconds[0])

    async def answer(requests):
        begun.set()
        await ending.wait()
        seconds[0] += usual_s
        return list(requests)

    batcher = HoldBatcher(answer, max_batch=10)
    for _ in range(100):
        await batcher.submit("basket")
    begun.clear()
    ending.clear()
    under_way = asyncio.create_task(batcher.submit("basket"))
    await begun.wait()
    seconds[0] += after_s
    assert batcher.slow == slow
    ending.set()
    await under_way
    assert not batcher.slow


@pytest.mark.parametrize(
    "error", [FailedPrecondition("no", reason="OUT_OF_STOCK"), InvalidArgument("no", reason="UNKNOWN_PRODUCT")]
)
async def test_a_rejection_reaches_the_customer_unchanged(inventory, stub, error):
    stub.answer = refused(error)
    with pytest.raises(type(error)) as raised:
        await inventory.hold(uuid.uuid4(), LINES)
    assert raised.value.reason == error.reason


@pytest.mark.parametrize("error", [ResourceExhausted("busy"), Unavailable("rebuilding")])
async def test_a_transient_outcome_counts_as_unavailable(inventory, stub, error):
    stub.answer = refused(error)
    with pytest.raises(Unavailable) as raised:
        await inventory.hold(uuid.uuid4(), LINES)
    assert raised.value.reason == "INVENTORY_UNAVAILABLE"


@pytest.mark.parametrize(
    "code", [c for c in grpc.StatusCode if c not in (grpc.StatusCode.OK,)], ids=lambda code: code.name
)
async def test_a_failed_call_never_rejects_an_order(inventory, stub, code):
    stub.failure = rpc_error(code, "x")
    with pytest.raises(Unavailable):
        await inventory.hold(uuid.uuid4(), LINES)
    assert not inventory.answered_within(60)


async def test_the_breaker_is_logged_once_when_it_opens_and_closes(inventory, stub):
    async def ask():
        await asyncio.gather(inventory.hold(uuid.uuid4(), LINES), return_exceptions=True)

    with capture_logs() as logs:
        await ask()
        stub.failure = rpc_error(grpc.StatusCode.UNAVAILABLE, "connection refused")
        await ask()
        assert gauge() == 0
        stub.failure = rpc_error(grpc.StatusCode.UNAVAILABLE, "no healthy upstream")
        for _ in range(3):
            await ask()
        assert gauge() == 1
        stub.failure = None
        for _ in range(3):
            await ask()
    lines = [line for line in logs if "BREAKER" in line["event"]]
    assert [line["event"].split()[1] for line in lines] == ["open:", "closed:"]
    assert lines[0]["host"] == "inventory.test"
    assert lines[0]["reason"] == "no healthy upstream"
    assert gauge() == 0


def gauge():
    return REGISTRY.get_sample_value("orders_breaker_open", {"host": "inventory.test"})


def counted(outcome):
    return REGISTRY.get_sample_value("orders_holds_total", {"outcome": outcome}) or 0


async def test_holds_are_counted_by_outcome(inventory, stub):
    before = {outcome: counted(outcome) for outcome in ("held", "refused", "failed")}
    await inventory.hold(uuid.uuid4(), LINES)
    for error in (FailedPrecondition("no", reason="OUT_OF_STOCK"), Unavailable("rebuilding")):
        stub.answer = refused(error)
        with pytest.raises((FailedPrecondition, Unavailable)):
            await inventory.hold(uuid.uuid4(), LINES)
    assert {outcome: counted(outcome) - number for outcome, number in before.items()} == dict.fromkeys(before, 1)


async def test_recent_responses_of_inventory_are_tracked(inventory, stub):
    assert not inventory.answered_within(3600)
    stub.failure = rpc_error(grpc.StatusCode.UNAVAILABLE, "x")
    with pytest.raises(Unavailable):
        await inventory.hold(uuid.uuid4(), LINES)
    assert not inventory.answered_within(3600)
    stub.failure = None
    await inventory.hold(uuid.uuid4(), LINES)
    assert inventory.answered_within(3600)
    assert not inventory.answered_within(-1)


@pytest.mark.parametrize(("theirs_s", "ours_s"), [(7, 7), (None, 1)])
async def test_pending_holds_have_a_retry_delay(inventory, stub, theirs_s, ours_s):
    stub.answer = refused(Unavailable("rebuilding", retry_after_s=theirs_s))
    with pytest.raises(Unavailable) as raised:
        await inventory.hold(uuid.uuid4(), LINES)
    assert raised.value.retry_after_s == ours_s


@pytest.mark.parametrize(("reason", "errors"), [("HOLD_RELEASED", 0), ("SOMETHING_NEW", 1)])
async def test_an_unknown_rejection_reason_is_logged(inventory, stub, reason, errors):
    stub.answer = refused(FailedPrecondition("of it", reason=reason))
    with capture_logs() as logs, pytest.raises((FailedPrecondition, InvalidArgument)):
        await inventory.hold(uuid.uuid4(), LINES)
    assert len([each for each in logs if each["log_level"] == "error"]) == errors


async def test_a_batcher_reports_its_queue_length():
    ending = asyncio.Event()

    async def answer(requests):
        await ending.wait()
        return list(requests)

    batcher = HoldBatcher(answer, max_batch=10)
    assert batcher.load == 0
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert batcher.load == 3
    ending.set()
    await asyncio.gather(*waiting)
    assert batcher.load == 0


async def test_the_hold_of_an_order_that_was_not_stored_is_released(inventory, stub):
    given_back = []

    async def release(request, timeout):  # noqa: ASYNC109 - gRPC's own form
        given_back.append(request.name)
        if len(given_back) > 1:
            raise rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "no")

    stub.ReleaseHold, order = release, uuid.uuid4()
    await inventory.release(order)
    assert given_back == [f"holds/{order}"]
    with pytest.raises(Unavailable):
        await inventory.release(order)


def test_a_hold_has_its_expiry():
    message = inventory_pb2.Hold(generation=4)
    message.expire_time.FromSeconds(60)
    assert hold_of(message).expire_time.timestamp() == 60


class Pages:
    """The RPCs of operators' tools; each list has three pages."""

    def __init__(self):
        self.requests = []
        self.failure = None
        self.holds = []

    def _page(self, request):
        page = int(request.page_token or 0)
        return page, str(page + 1) if page < 2 else ""

    async def ListHolds(self, request, timeout):  # noqa: ASYNC109 - gRPC's own form
        page, token = self._page(request)
        lines = [inventory_pb2.HoldLine(product="products/tea", quantity=page + 1)]
        holds = [inventory_pb2.Hold(name=f"holds/{uuid.UUID(int=page)}", generation=page, lines=lines)]
        return inventory_service_pb2.ListHoldsResponse(holds=holds, next_page_token=token)

    async def ListProducts(self, request, timeout):  # noqa: ASYNC109 - gRPC's own form
        page, token = self._page(request)
        stock = inventory_pb2.Stock(on_hand=9, available=4, held=3, sold=2)
        products = [inventory_pb2.Product(name=f"products/{page}", stock=stock)]
        return inventory_service_pb2.ListProductsResponse(products=products, next_page_token=token)

    async def BatchGetHolds(self, request, timeout):  # noqa: ASYNC109 - gRPC's own form
        self.requests.append(list(request.names))
        return inventory_service_pb2.BatchGetHoldsResponse(holds=self.holds)

    async def _noted(self, request, timeout):  # noqa: ASYNC109 - gRPC's own form
        self.requests.append(request)
        if self.failure:
            raise self.failure

    CommitHold = ReleaseHold = RebuildStock = _noted


@pytest.fixture
def pages():
    return Pages()


async def test_every_page_of_open_holds_and_of_products_is_read(pages):
    stock = MeshStock(pages)
    holds = [hold async for page in stock.open_holds() for hold in page]
    assert holds == [HoldSeen(uuid.UUID(int=n), n, {"products/tea": n + 1}) for n in range(3)]
    assert await stock.stock() == [StockSeen(f"products/{n}", 9, 4, 3, 2) for n in range(3)]


async def test_the_state_of_a_hold_is_read_from_inventory(pages):
    stock, order = MeshStock(pages), uuid.uuid4()
    assert await stock.state_of_hold(order) is None
    assert pages.requests == [[f"holds/{order}"]]
    held = inventory_pb2.Hold(state=inventory_pb2.Hold.HELD)
    held.expire_time.FromSeconds(60)
    pages.holds = [held]
    state, expires = await stock.state_of_hold(order)
    assert (state, expires.timestamp()) == ("HELD", 60)
    pages.holds = [inventory_pb2.Hold(state=inventory_pb2.Hold.COMMITTED)]
    assert await stock.state_of_hold(order) == ("COMMITTED", None)


async def test_repairs_call_inventory(pages):
    stock, order = MeshStock(pages), uuid.uuid4()
    await stock.commit(order)
    await stock.release(order)
    await stock.rebuild(5)
    commit, release, rebuild = pages.requests
    assert commit == inventory_service_pb2.CommitHoldRequest(name=f"holds/{order}")
    assert release == inventory_service_pb2.ReleaseHoldRequest(name=f"holds/{order}")
    assert rebuild == inventory_service_pb2.RebuildStockRequest(generation=5)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, FailedPrecondition),
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.INTERNAL, Unavailable),
    ],
)
async def test_a_rejected_repair_is_permanent_and_other_failures_are_retryable(pages, code, kind):
    pages.failure = rpc_error(code, "x")
    with pytest.raises(kind):
        await MeshStock(pages).commit(uuid.uuid4())
