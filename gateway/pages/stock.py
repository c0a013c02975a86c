"""Reads the stock from inventory, through this pod's sidecar."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2, inventory_service_pb2_grpc

from runtime.status import from_rpc_error

TIMEOUT_S = 2.0
PAGE_SIZE = 500
MAX_PAGES = 20


class Stock:
    """The products of inventory."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)

    async def products(self) -> Sequence[inventory_pb2.Product]:
        """
        Return up to 10,000 products with their stock; raises the error that inventory returned.
        """
        found: list[inventory_pb2.Product] = []
        token = ""
        for _ in range(MAX_PAGES):
            request = inventory_service_pb2.ListProductsRequest(page_size=PAGE_SIZE, page_token=token)
            try:
                page = await self._stub.ListProducts(request, timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error
            found.extend(page.products)
            token = page.next_page_token
            if not token:
                break
        return found
