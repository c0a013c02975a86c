"""The client of inventory: what is a refusal, what only says that it can't be asked, and the breaker's log."""

import asyncio
import uuid

import grpc
import pytest
from google.type.money_pb2 import Money as MoneyMessage
from prometheus_client import REGISTRY
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from structlog.testing import capture_logs

from orders_svc.breaker import Breaker
from orders_svc.inventory_client import HoldBatcher, MeshInventory
from orders_svc.order import Line
from runtime.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from runtime.money import Money
from runtime.status import to_status

LINES = (Line("products/tea", 1),)


class Stub:
    """Answers each basket by *answer*, or fails the whole call with *failure*."""

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
    ("said", "told"),
    [
        ("HOLD_MISMATCH", "IDEMPOTENCY_KEY_REUSED"),
        ("HOLD_RELEASED", "REQUEST_REFUSED"),
        ("SOMETHING_NEW", "REQUEST_REFUSED"),
        ("OUT_OF_STOCK", "OUT_OF_STOCK"),
    ],
)
async def test_a_refusal_is_told_in_the_words_of_orders(inventory, stub, said, told):
    metadata = {"order": "orders/x", "products": "products/tea"}
    stub.answer = refused(FailedPrecondition("of it", reason=said, metadata=metadata))
    with pytest.raises((FailedPrecondition, InvalidArgument)) as raised:
        await inventory.hold(uuid.uuid4(), LINES)
    assert raised.value.reason == told
    assert "holds/" not in raised.value.message
    assert "order" not in raised.value.metadata


async def test_a_hold_tells_generation_and_prices(inventory):
    held = await inventory.hold(uuid.uuid4(), LINES)
    assert (held.generation, held.prices) == (4, {"products/tea": Money("EUR", 1_000_000_005)})
    assert held.expire_time is None


async def test_holds_that_are_asked_for_together_ride_together(inventory, stub):
    stub.delay_s = 0.01
    await asyncio.gather(*(inventory.hold(uuid.uuid4(), LINES) for _ in range(200)))
    assert sum(stub.batches) == 200
    assert len(stub.batches) == 2


async def test_a_call_that_hangs_does_not_hold_up_later_ones(inventory, stub):
    stub.delay_s = 60
    stuck = asyncio.create_task(inventory.hold(uuid.uuid4(), LINES))
    await asyncio.sleep(0.1)
    stub.delay_s = 0
    async with asyncio.timeout(1):
        await inventory.hold(uuid.uuid4(), LINES)
    stuck.cancel()


@pytest.mark.parametrize(
    ("usual_s", "after_s", "slow"),
    [(0, 0.06, True), (0, 0.04, False), (0.03, 0.1, False), (0.03, 0.13, True), (1, 0.19, False), (1, 0.21, True)],
)
async def test_a_call_is_slow_that_takes_longer_than_calls_do(monkeypatch, usual_s, after_s, slow):
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
async def test_a_refusal_reaches_the_customer_as_it_is(inventory, stub, error):
    stub.answer = refused(error)
    with pytest.raises(type(error)) as raised:
        await inventory.hold(uuid.uuid4(), LINES)
    assert raised.value.reason == error.reason


@pytest.mark.parametrize("error", [ResourceExhausted("busy"), Unavailable("rebuilding")])
async def test_an_outcome_that_says_not_now_is_an_inventory_that_can_not_be_asked(inventory, stub, error):
    stub.answer = refused(error)
    with pytest.raises(Unavailable) as raised:
        await inventory.hold(uuid.uuid4(), LINES)
    assert raised.value.reason == "INVENTORY_UNAVAILABLE"


@pytest.mark.parametrize(
    "code", [c for c in grpc.StatusCode if c not in (grpc.StatusCode.OK,)], ids=lambda code: code.name
)
async def test_whatever_fails_the_call_turns_no_customer_away(inventory, stub, code):
    stub.failure = rpc_error(code, "x")
    with pytest.raises(Unavailable):
        await inventory.hold(uuid.uuid4(), LINES)
    assert not inventory.answered_within(60)


async def test_the_log_tells_once_when_the_mesh_refuses_and_once_when_it_stops(inventory, stub):
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
