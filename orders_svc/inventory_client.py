"""The client of inventory, through the mesh."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import structlog
from prometheus_client import Counter
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2

from orders_svc.breaker import Breaker
from orders_svc.discrepancies import HoldSeen, StockSeen
from orders_svc.order import INVENTORY_UNAVAILABLE, Hold, Line
from orders_svc.ports import REFUSALS
from orders_svc.refusals import RequestRefused
from runtime import errors, status
from runtime.batching import Batcher, Work
from runtime.money_message import money
from runtime.refusals import IdempotencyKeyReused

HOLDS = Counter("orders_holds", "Holds that inventory was asked for, by outcome.", ["outcome"])
# The details that orders returns, too: the others name inventory's own resources, which are internal.
PASSED_ON = ("OUT_OF_STOCK", "UNKNOWN_PRODUCT", "MIXED_CURRENCIES", "TOTAL_TOO_LARGE", "INVALID_ARGUMENT")
# While one batch waits for a slow replica the others continue.
BATCHERS = 4
MAX_BATCH = 128
# A call is slow if it takes many times as long as recent calls: on a busy machine all are slow, and more concurrent
# ones would only be smaller. These are the bounds, so that calls that all wait for one thing do not wait for each
# other as well.
SLOW_FACTOR = 4
SLOW_S, MAX_SLOW_S = 0.05, 0.2
# The weight of the last call in the moving average of latencies.
LAST_WEIGHT = 0.1
MAX_PAGE = 500
log = structlog.get_logger()


class MeshInventory:
    """
    The inventory port over gRPC. Concurrent holds share one call.

    *timeout_s* bounds each call; *max_batch* its baskets.
    """

    def __init__(self, stub: Any, breaker: Breaker, *, timeout_s: float, max_batch: int = MAX_BATCH) -> None:
        self._stub = stub
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._batchers = [HoldBatcher(self._hold_batch, max_batch, self._spread) for _ in range(BATCHERS)]
        self._answered_at = float("-inf")

    def answered_within(self, seconds: float) -> bool:
        """
        Return whether inventory has responded to anything in the last *seconds*.
        """
        return time.monotonic() - self._answered_at <= seconds

    async def hold(self, order_id: uuid.UUID, lines: Sequence[Line]) -> Hold:
        """
        Hold the whole basket or nothing; a retry returns the same hold.

        Raises `FailedPrecondition` or `InvalidArgument` when inventory rejects it, of which `IdempotencyKeyReused` is
        for an id that holds other lines, and `Unavailable` when inventory can't be asked.
        """
        baskets = [inventory_pb2.HoldLine(product=line.product, quantity=line.quantity) for line in lines]
        request = inventory_service_pb2.HoldStockRequest(order=f"orders/{order_id}", lines=baskets)
        try:
            hold = await self._next_batcher().submit(request)
        except errors.Error as error:
            HOLDS.labels("refused" if isinstance(error, REFUSALS) else "failed").inc()
            raise
        HOLDS.labels("held").inc()
        return hold

    async def release(self, order_id: uuid.UUID) -> None:
        """
        Release the hold of an order that will not be stored; raises `Unavailable` if inventory does not answer.
        """
        try:
            request = inventory_service_pb2.ReleaseHoldRequest(name=f"holds/{order_id}")
            await self._stub.ReleaseHold(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _unavailable(status.from_rpc_error(error)) from error

    def _next_batcher(self) -> HoldBatcher:
        """
        Return the first batcher that is not slow, so that batches are as large as possible.
        """
        quick = (batcher for batcher in self._batchers if not batcher.slow)
        return next(quick, min(self._batchers, key=lambda batcher: batcher.load))

    def _spread(self) -> None:
        """
        Move baskets that wait behind a slow call to a batcher without one: two slow calls are longer than orders wait.
        """
        for slow in self._batchers:
            if slow.slow and slow.waiting:
                quick = [batcher for batcher in self._batchers if not batcher.slow]
                if quick:
                    slow.pass_waiting_to(min(quick, key=lambda batcher: batcher.busy))

    async def _hold_batch(
        self, requests: Sequence[inventory_service_pb2.HoldStockRequest]
    ) -> Sequence[Hold | Exception]:
        request = inventory_service_pb2.BatchHoldStockRequest(requests=requests)
        try:
            response = await self._stub.BatchHoldStock(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            failure = status.from_rpc_error(error)
            self._breaker.failed(failure)
            raise _unavailable(failure) from error
        self._breaker.answered()
        self._answered_at = time.monotonic()
        if len(response.outcomes) != len(requests):
            raise errors.Internal(f"{len(requests)} baskets, but {len(response.outcomes)} outcomes")
        return [_outcome(each) for each in response.outcomes]


class HoldBatcher:
    """One call to inventory at a time: how many baskets wait for it, and how long it has been under way."""

    def __init__(
        self,
        work: Work[inventory_service_pb2.HoldStockRequest, Hold],
        max_batch: int,
        spread: Callable[[], None] = lambda: None,
    ) -> None:
        """
        *spread* is called when the call turns slow, and when it ends.
        """
        self._work = work
        self._spread = spread
        self._batcher: Batcher[inventory_service_pb2.HoldStockRequest, Hold] = Batcher(
            self._timed, name="hold stock", max_batch=max_batch
        )
        self._started_at: float | None = None
        self._usual_s = 0.0
        self.load = 0

    @property
    def slow(self) -> bool:
        """Return whether the current call takes longer than calls usually do."""
        return self._started_at is not None and time.monotonic() - self._started_at > self._limit_s

    @property
    def busy(self) -> bool:
        """Return whether a call is under way."""
        return self._started_at is not None

    @property
    def waiting(self) -> int:
        """Return the number of baskets that wait behind the current call."""
        return self._batcher.waiting

    @property
    def _limit_s(self) -> float:
        return min(MAX_SLOW_S, max(SLOW_S, SLOW_FACTOR * self._usual_s))

    def pass_waiting_to(self, other: HoldBatcher) -> None:
        """
        Let *other* ask for the baskets that wait here.
        """
        self._batcher.pass_waiting_to(other._batcher)

    async def submit(self, request: inventory_service_pb2.HoldStockRequest) -> Hold:
        """
        Return what the call returned for *request*.
        """
        self.load += 1
        try:
            return await self._batcher.submit(request)
        finally:
            self.load -= 1

    async def _timed(self, requests: Sequence[inventory_service_pb2.HoldStockRequest]) -> Sequence[Hold | Exception]:
        self._started_at = started_at = time.monotonic()
        # A little later than the limit, at which the call is not slow yet.
        turning_slow = asyncio.get_running_loop().call_later(self._limit_s + 0.001, self._spread)
        try:
            outcomes = await self._work(requests)
            self._usual_s += LAST_WEIGHT * (time.monotonic() - started_at - self._usual_s)
            return outcomes
        finally:
            turning_slow.cancel()
            self._started_at = None
            self._spread()


def _outcome(outcome: inventory_service_pb2.HoldStockOutcome) -> Hold | Exception:
    if outcome.WhichOneof("outcome") == "hold":
        return hold_of(outcome.hold)
    error = status.from_status(outcome.error)
    return _refusal(error) if isinstance(error, REFUSALS) else _unavailable(error)


def _refusal(error: errors.Error) -> errors.Error:
    """
    Return inventory's rejection as an error of orders.
    """
    if error.reason in PASSED_ON:
        # The resource is the order that does not exist.
        error.metadata.pop("order", None)
        return error
    if error.reason == "HOLD_MISMATCH":
        return IdempotencyKeyReused("the request id was used for another request")
    if error.reason != "HOLD_RELEASED":
        log.error("hold_refused_unexpectedly", reason=error.reason, error=error.message)
    return RequestRefused("the order of this request id came to nothing before; use a new request id")


def hold_of(message: inventory_pb2.Hold) -> Hold:
    """
    Return the hold in *message*.
    """
    expires = message.expire_time.ToDatetime(UTC) if message.HasField("expire_time") else None
    return Hold(message.generation, {line.product: money(line.unit_price) for line in message.lines}, expires)


def _unavailable(error: errors.Error) -> errors.Unavailable:
    return errors.Unavailable(
        f"inventory cannot be asked: {error.message}",
        reason=INVENTORY_UNAVAILABLE,
        metadata={"cause": error.reason},
        retry_after_s=error.retry_after_s or 1,
    )


class MeshStock:
    """The inventory port of the reconciler; raises `Unavailable` when inventory can't be asked."""

    def __init__(self, stub: Any, *, timeout_s: float = 5) -> None:
        self._stub = stub
        self._timeout_s = timeout_s

    async def open_holds(self) -> AsyncIterator[Sequence[HoldSeen]]:
        """
        Yield every hold that is neither committed nor released, in pages.
        """
        token = ""
        while True:
            request = inventory_service_pb2.ListHoldsRequest(page_size=MAX_PAGE, page_token=token)
            response = await self._call(self._stub.ListHolds, request)
            yield [seen_of(hold) for hold in response.holds]
            token = response.next_page_token
            if not token:
                return

    async def stock(self) -> list[StockSeen]:
        """
        Return every product's units.
        """
        found: list[StockSeen] = []
        token = ""
        while True:
            request = inventory_service_pb2.ListProductsRequest(page_size=MAX_PAGE, page_token=token)
            response = await self._call(self._stub.ListProducts, request)
            found += [_stock(product) for product in response.products]
            token = response.next_page_token
            if not token:
                return found

    async def state_of_hold(self, order_id: uuid.UUID) -> tuple[str, datetime | None] | None:
        """
        Return the contract's name of the hold's state, and its expiry; None if there is no hold.
        """
        request = inventory_service_pb2.BatchGetHoldsRequest(names=[f"holds/{order_id}"])
        for hold in (await self._call(self._stub.BatchGetHolds, request)).holds:
            expires = hold.expire_time.ToDatetime(UTC) if hold.HasField("expire_time") else None
            return inventory_pb2.Hold.State.Name(hold.state), expires
        return None

    async def commit(self, order_id: uuid.UUID) -> None:
        """
        Commit the order's hold; raise inventory's rejection.
        """
        await self._call(self._stub.CommitHold, inventory_service_pb2.CommitHoldRequest(name=f"holds/{order_id}"))

    async def release(self, order_id: uuid.UUID) -> None:
        """
        Release the order's hold.
        """
        await self._call(self._stub.ReleaseHold, inventory_service_pb2.ReleaseHoldRequest(name=f"holds/{order_id}"))

    async def rebuild(self, generation: int) -> None:
        """
        Request a rebuild of the stock of *generation*; it starts soon.
        """
        await self._call(self._stub.RebuildStock, inventory_service_pb2.RebuildStockRequest(generation=generation))

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            failure = status.from_rpc_error(error)
            raise (failure if isinstance(failure, REFUSALS) else _unavailable(failure)) from error


def seen_of(message: inventory_pb2.Hold) -> HoldSeen:
    """
    Return the hold in *message*, for comparison.
    """
    units = {line.product: line.quantity for line in message.lines}
    return HoldSeen(uuid.UUID(message.name.removeprefix("holds/")), message.generation, units)


def _stock(product: inventory_pb2.Product) -> StockSeen:
    stock = product.stock
    return StockSeen(product.name, stock.on_hand, stock.available, stock.held, stock.sold)
