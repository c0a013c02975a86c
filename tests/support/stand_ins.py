"""Each service's contract in a few lines, so that the other's tests need no second service."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import grpc
from google.type.money_pb2 import Money
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import allocation_service_pb2 as messages
from shop.orders.v1.allocation_service_pb2_grpc import (
    AllocationServiceServicer,
    add_AllocationServiceServicer_to_server,
)

from runtime.errors import FailedPrecondition, Violation
from runtime.status import to_status
from tests.support.processes import free_port, own_host

ORDERS_HOST = own_host(3)
INVENTORY_HOST = own_host(2)


class Allocations(AllocationServiceServicer):
    """Units owned by orders, as set by the test, and the generations that were started."""

    def __init__(self):
        self.address = f"{ORDERS_HOST}:{free_port(ORDERS_HOST)}"
        self.generation = 0
        self.owned = {}
        self.confirmed_on = {}
        self._server = None

    async def start(self):
        self._server = grpc.aio.server()
        add_AllocationServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()
        return self

    async def stop(self):
        await self._server.stop(0)

    async def StartGeneration(self, request, context):
        self.generation = max(self.generation, request.above) + 1
        units = Counter()
        for lines in self.owned.values():
            units.update(lines)
        sold = [messages.SoldUnits(product=f"products/{name}", units=count) for name, count in units.items()]
        return messages.StartGenerationResponse(generation=self.generation, sold=sold)

    async def GetGeneration(self, request, context):
        return messages.GetGenerationResponse(generation=self.generation)

    async def CheckAllocations(self, request, context):
        # Orders that the test added without a generation count as confirmed in the current one.
        names = {name.partition("/")[2]: name for name in request.orders}
        owners = [
            name
            for order, name in names.items()
            if order in self.owned and self.confirmed_on.get(order, self.generation) >= request.generation
        ]
        return messages.CheckAllocationsResponse(orders=owners)


class StandInInventory(inventory_service_pb2_grpc.InventoryServiceServicer):
    """Inventory's contract in a few lines, so that these tests need only the orders' own stores."""

    def __init__(self):
        self.holds = {}
        self.released = set()
        self.stock = {}
        self.calls = 0
        self.delay_s = 0
        self.generation = 0

    async def BatchHoldStock(self, request, context):
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        outcomes = [self._hold(each) for each in request.requests]
        return inventory_service_pb2.BatchHoldStockResponse(outcomes=outcomes)

    async def BatchGetHolds(self, request, context):
        names = (name.replace("holds", "orders") for name in request.names)
        return inventory_service_pb2.BatchGetHoldsResponse(
            holds=[self.holds[name] for name in names if name in self.holds]
        )

    def _hold(self, request):
        if request.order not in self.holds:
            for line in request.lines:
                left = self.stock.get(line.product, 0)
                if left < line.quantity:
                    missing = Violation("OUT_OF_STOCK", line.product, f"{left} left")
                    error = FailedPrecondition("not enough", reason="OUT_OF_STOCK", violations=[missing])
                    status = to_status(error, "inventory.shop.example.com")
                    return inventory_service_pb2.HoldStockOutcome(error=status)
            for line in request.lines:
                self.stock[line.product] -= line.quantity
        lines = [
            inventory_pb2.HoldLine(
                product=line.product, quantity=line.quantity, unit_price=Money(currency_code="EUR", units=2)
            )
            for line in request.lines
        ]
        hold = inventory_pb2.Hold(
            name=request.order.replace("orders", "holds"),
            order=request.order,
            lines=lines,
            generation=self.generation,
            state=inventory_pb2.Hold.HELD,
        )
        hold.expire_time.FromDatetime(datetime.now(UTC) + timedelta(minutes=5))
        self.holds[request.order] = hold
        return inventory_service_pb2.HoldStockOutcome(hold=hold)


class InventoryServer:
    """Starts and stops the stand-in on its address."""

    def __init__(self):
        self.address = f"{INVENTORY_HOST}:{free_port(INVENTORY_HOST)}"
        self.servicer = StandInInventory()
        self._server = None

    async def start(self):
        self._server = grpc.aio.server()
        inventory_service_pb2_grpc.add_InventoryServiceServicer_to_server(self.servicer, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self):
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
