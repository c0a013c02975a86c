"""The client of orders, through the mesh: what orders own, which is durable when Redis is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import grpc
from shop.orders.v1 import allocation_service_pb2 as messages
from shop.orders.v1.allocation_service_pb2_grpc import AllocationServiceStub

from inventory_svc import translate
from inventory_svc.stock import Line, Sale
from runtime import errors, status

CALL_S = 5.0
"""For a single call."""
STREAM_S = 600.0
"""For all pages of the allocations."""


@dataclass(frozen=True, slots=True)
class Allocations:
    """One page of what orders own; *fulfilled* are units that were handed over, by product."""

    confirmed: tuple[Sale, ...]
    fulfilled: tuple[Line, ...] = ()


class Orders:
    """Calls AllocationService; its errors are ours."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AllocationServiceStub(channel)

    async def start_generation(self, request_id: str) -> int:
        """
        Return a new stock generation; from now on no order is confirmed on a hold of an older one.
        """
        request = messages.StartGenerationRequest(request_id=request_id)
        try:
            response = await self._stub.StartGeneration(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            raise status.from_rpc_error(error) from error
        return response.generation

    async def allocations(self) -> AsyncIterator[Allocations]:
        """
        Yield what confirmed and fulfilled orders own; `Unavailable` if it breaks off.
        """
        complete = False
        try:
            async for page in self._stub.ListAllocations(messages.ListAllocationsRequest(), timeout=STREAM_S):
                complete = page.complete
                yield _page(page)
        except grpc.aio.AioRpcError as error:
            raise status.from_rpc_error(error) from error
        if not complete:
            raise errors.Unavailable("the orders' allocations broke off", reason="ORDERS_UNAVAILABLE")

    async def owners(self, orders: Sequence[str], *, generation: int) -> set[str]:
        """
        Return which of at most 500 *orders* are confirmed or fulfilled on a hold of *generation*, and so own it.

        The others cannot be confirmed any more on a hold whose lease has ended.
        """
        names = [f"orders/{order}" for order in orders]
        request = messages.CheckAllocationsRequest(orders=names, generation=generation)
        try:
            response = await self._stub.CheckAllocations(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            raise status.from_rpc_error(error) from error
        return {translate.bare(name) for name in response.orders}


def _page(page: messages.ListAllocationsResponse) -> Allocations:
    return Allocations(tuple(_sales(page.allocations)), translate.lines(page.fulfilled))


def _sales(allocations: Iterable[messages.Allocation]) -> Iterable[Sale]:
    for each in allocations:
        yield Sale(translate.bare(each.order), translate.lines(each.lines))
