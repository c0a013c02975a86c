"""Fills the shelves before an experiment, as an operator would."""

from __future__ import annotations

import uuid

import grpc
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc

from chaos import truth

OPERATOR = (("x-operator", "true"), ("x-customer-id", "chaos"))


async def restock(edge: str, inventory: str, *, units: int) -> list[str]:
    """
    Bring every product to *units* available and return the products' names.

    Stock is read through the *edge*; receipts go straight to a replica of
    *inventory*, since no customer may restock.
    """
    stock = await truth.stock_at(edge)
    async with grpc.aio.insecure_channel(inventory) as channel:
        stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)
        for name, now in stock.items():
            if now.available < units:
                await stub.Restock(_receipt(name, units - now.available), metadata=OPERATOR, timeout=10)
    return sorted(stock)


def _receipt(name: str, units: int) -> inventory_service_pb2.RestockRequest:
    return inventory_service_pb2.RestockRequest(name=name, quantity=min(units, 1_000_000), request_id=str(uuid.uuid4()))
