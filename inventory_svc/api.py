"""The gRPC servicer: request -> use case -> reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceServicer

from inventory_svc import wire
from inventory_svc.holds import Inventory
from inventory_svc.ports import HoldOutcome, Reads
from inventory_svc.settings import DOMAIN
from inventory_svc.stock import Basket, Receipt
from runtime import errors
from runtime.caller import caller
from runtime.page_token import Keys, PageTokens
from runtime.refusals import OperatorOnly
from runtime.reply import set_http_code
from runtime.status import to_status
from runtime.validation import Turns

DEFAULT_PAGE, MAX_PAGE = 50, 500
MAX_BATCH_LINES = 12_800
"""Of all baskets of a batch: orders sends 128 baskets, and one has 100 lines at most. A line costs 3 µs to validate."""
Context = grpc.aio.ServicerContext[Any, Any]


class InventoryService(InventoryServiceServicer):
    """Serves `shop.inventory.v1.InventoryService`; errors are raised, the runtime reports them."""

    def __init__(self, inventory: Inventory, reads: Reads, *, page_key: Keys | bytes) -> None:
        self._inventory = inventory
        self._reads = reads
        self._turns = Turns()
        self._holds = PageTokens(page_key, method="ListHolds")
        self._products = PageTokens(page_key, method="ListProducts")

    async def HoldStock(self, request: inventory_service_pb2.HoldStockRequest, context: Context) -> inventory_pb2.Hold:
        """Hold a basket."""
        return wire.hold_message(await self._inventory.hold(_basket(request)))

    async def BatchHoldStock(
        self, request: inventory_service_pb2.BatchHoldStockRequest, context: Context
    ) -> inventory_service_pb2.BatchHoldStockResponse:
        """Hold several baskets, with an outcome for each."""
        _check_lines(request)
        baskets = [await self._checked_basket(each) for each in request.requests]
        good = [basket for basket in baskets if isinstance(basket, Basket)]
        held = iter(await self._inventory.hold_all(good))
        outcomes = [next(held) if isinstance(basket, Basket) else basket for basket in baskets]
        _raise_if_unavailable(outcomes)
        return inventory_service_pb2.BatchHoldStockResponse(outcomes=_outcome_messages(outcomes))

    async def _checked_basket(self, request: inventory_service_pb2.HoldStockRequest) -> Basket | errors.Error:
        """Return one basket of a batch, or its error: an invalid one fails alone."""
        try:
            await self._turns.check(request)
            return _basket(request)
        except errors.Error as error:
            return error

    async def CommitHold(
        self, request: inventory_service_pb2.CommitHoldRequest, context: Context
    ) -> inventory_pb2.Hold:
        """Turn a hold into a sale."""
        return wire.hold_message(await self._inventory.commit(wire.bare(request.name)))

    async def ReleaseHold(
        self, request: inventory_service_pb2.ReleaseHoldRequest, context: Context
    ) -> inventory_pb2.Hold:
        """Release a hold."""
        return wire.hold_message(await self._inventory.release(wire.bare(request.name)))

    async def BatchGetHolds(
        self, request: inventory_service_pb2.BatchGetHoldsRequest, context: Context
    ) -> inventory_service_pb2.BatchGetHoldsResponse:
        """Return the holds of several orders."""
        holds = await self._reads.holds_of([wire.bare(name) for name in request.names])
        return inventory_service_pb2.BatchGetHoldsResponse(holds=[wire.hold_message(each) for each in holds])

    async def ListHolds(
        self, request: inventory_service_pb2.ListHoldsRequest, context: Context
    ) -> inventory_service_pb2.ListHoldsResponse:
        """Return a page of the open holds."""
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        cursor = self._holds.read(request.page_token).decode() if request.page_token else "0"
        holds, after = await self._reads.open_holds(cursor=cursor, limit=size)
        return inventory_service_pb2.ListHoldsResponse(
            holds=[wire.hold_message(each) for each in holds],
            next_page_token=self._holds.write(after.encode()) if after else "",
        )

    async def RebuildStock(
        self, request: inventory_service_pb2.RebuildStockRequest, context: Context
    ) -> inventory_service_pb2.RebuildStockResponse:
        """Rebuild a stock that was found to be wrong."""
        await self._inventory.rebuild(request.generation)
        return inventory_service_pb2.RebuildStockResponse()

    async def GetProduct(
        self, request: inventory_service_pb2.GetProductRequest, context: Context
    ) -> inventory_pb2.Product:
        """Return a product."""
        return wire.product_message(await self._reads.product(wire.bare(request.name)))

    async def ListProducts(
        self, request: inventory_service_pb2.ListProductsRequest, context: Context
    ) -> inventory_service_pb2.ListProductsResponse:
        """Return a page of products."""
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        after = self._products.read(request.page_token).decode() if request.page_token else None
        # One more than requested shows whether another page follows.
        found = await self._reads.products(after=after, limit=size + 1)
        page = found[:size]
        return inventory_service_pb2.ListProductsResponse(
            products=[wire.product_message(each) for each in page],
            next_page_token=self._products.write(page[-1].listing.product.encode()) if len(found) > size else "",
        )

    async def Restock(self, request: inventory_service_pb2.RestockRequest, context: Context) -> inventory_pb2.Product:
        """Add units to a product's stock."""
        who = caller(context)
        if not who.operator:
            raise OperatorOnly("only operators restock")
        # Request ids are scoped to the caller.
        receipt = Receipt(f"{who.customer} {request.request_id}", wire.bare(request.name), request.quantity)
        restocked = await self._inventory.restock(receipt)
        if restocked.repeated:
            set_http_code(context, 200, [("idempotency-replayed", "true")])
        return wire.product_message(restocked.product)


def _check_lines(request: inventory_service_pb2.BatchHoldStockRequest) -> None:
    """Raise `InvalidArgument` if the baskets have too many lines together, before any of them is validated."""
    lines = sum(len(each.lines) for each in request.requests)
    if lines > MAX_BATCH_LINES:
        violation = errors.FieldViolation("requests", f"have {lines} lines; {MAX_BATCH_LINES} at most")
        raise errors.InvalidArgument(f"{violation.field}: {violation.description}", fields=[violation])


def _basket(request: inventory_service_pb2.HoldStockRequest) -> Basket:
    return Basket(wire.bare(request.order), wire.lines(request.lines))


def _raise_if_unavailable(outcomes: Sequence[HoldOutcome]) -> None:
    """
    Fail the whole call if nothing can be held right now, so that the mesh counts it as a failure.
    """
    down = [outcome for outcome in outcomes if isinstance(outcome, errors.Unavailable)]
    if down and len(down) == len(outcomes):
        raise down[0]


def _outcome_messages(outcomes: Sequence[HoldOutcome]) -> list[inventory_service_pb2.HoldStockOutcome]:
    return [
        inventory_service_pb2.HoldStockOutcome(error=to_status(outcome, DOMAIN))
        if isinstance(outcome, errors.Error)
        else inventory_service_pb2.HoldStockOutcome(hold=wire.hold_message(outcome))
        for outcome in outcomes
    ]
