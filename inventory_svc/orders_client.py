"""The client of orders, through the mesh: what orders own, which is durable when Redis is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from shop.orders.v1 import allocation_service_pb2 as messages
from shop.orders.v1.allocation_service_pb2_grpc import AllocationServiceStub

from inventory_svc import wire
from inventory_svc.ports import Started
from runtime import status

CALL_S = 5.0


class MeshOrders:
    """Calls AllocationService; its errors are ours."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AllocationServiceStub(channel)

    async def start_generation(self, *, above: int) -> Started:
        """
        Return a stock generation greater than *above*, and what orders own at the point where it starts.
        """
        response = await _call(self._stub.StartGeneration, messages.StartGenerationRequest(above=above))
        return Started(response.generation, {wire.bare(each.product): each.units for each in response.sold})

    async def generation(self) -> int:
        """
        Return the generation whose holds are accepted.
        """
        return int((await _call(self._stub.GetGeneration, messages.GetGenerationRequest())).generation)

    async def owners(self, orders: Sequence[str], *, generation: int) -> set[str]:
        """
        Return which of at most 500 *orders* are confirmed or fulfilled on a hold of *generation*, and so own it.

        The others cannot be confirmed any more on a hold whose lease has ended.
        """
        names = [f"orders/{order}" for order in orders]
        request = messages.CheckAllocationsRequest(orders=names, generation=generation)
        return {wire.bare(name) for name in (await _call(self._stub.CheckAllocations, request)).orders}


async def _call(method: Any, request: Any) -> Any:
    try:
        return await method(request, timeout=CALL_S)
    except grpc.aio.AioRpcError as error:
        raise status.from_rpc_error(error) from error
