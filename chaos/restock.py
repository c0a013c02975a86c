"""Restocks products before an experiment, as an operator would."""

from __future__ import annotations

import uuid

import grpc
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc

from chaos import truth
from stack.customer import Metadata


async def restock(edge: str, operator: Metadata, *, units: int) -> list[str]:
    """
    Restock every product to *units* available and return the products' names.
    """
    stock = await truth.stock_at(edge)
    async with grpc.aio.insecure_channel(edge) as channel:
        stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)
        for name, now in stock.items():
            if now.available < units:
                await stub.Restock(_receipt(name, units - now.available), metadata=operator, timeout=10)
    return sorted(stock)


def _receipt(name: str, units: int) -> inventory_service_pb2.RestockRequest:
    return inventory_service_pb2.RestockRequest(name=name, quantity=min(units, 1_000_000), request_id=str(uuid.uuid4()))
