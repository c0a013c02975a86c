"""Many buyers of few units, concurrently, through the whole mesh."""

import asyncio
import uuid
from collections import Counter

import grpc
import pytest
import tenacity
from shop.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from stack import customer

BUYERS, ITEMS, AT_A_TIME = 1000, 10, 250
# The statuses after which a buyer retries with the same id.
AGAIN = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED}


async def stock_of(channel, name):
    stub = inventory_service_pb2_grpc.InventoryServiceStub(channel)
    return (await stub.GetProduct(inventory_service_pb2.GetProductRequest(name=name))).stock


@pytest.fixture
async def rare(stack):
    """Leave exactly ten units of a product; restore its stock afterwards."""
    operator = customer.metadata(stack.settings, "otto", operator=True)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}") as channel:
        inventory = inventory_service_pb2_grpc.InventoryServiceStub(channel)
        products = await inventory.ListProducts(inventory_service_pb2.ListProductsRequest())
        name = products.products[-2].name

        async def bring(units):
            receipt = inventory_service_pb2.RestockRequest(name=name, quantity=units, request_id=str(uuid.uuid4()))
            await inventory.Restock(receipt, metadata=operator)

        before = left = (await stock_of(channel, name)).available
        while left:
            await buy(channel, customer.metadata(stack.settings, "collector"), name, min(left, 1000))
            left = (await stock_of(channel, name)).available
        await bring(ITEMS)
        yield name
        await bring(before)


@tenacity.retry(
    retry=tenacity.retry_if_exception(lambda error: isinstance(error, grpc.aio.AioRpcError) and error.code() in AGAIN),
    wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
    stop=tenacity.stop_after_delay(60),
    reraise=True,
)
async def ask(channel, metadata, request):
    return await order_service_pb2_grpc.OrderServiceStub(channel).CreateOrder(request, metadata=metadata, timeout=10)


async def buy(channel, metadata, product, quantity=1):
    line = order_pb2.OrderLine(product=product, quantity=quantity)
    order = order_pb2.Order(lines=[line])
    request = order_service_pb2.CreateOrderRequest(order=order, request_id=str(uuid.uuid4()))
    try:
        return order_pb2.Order.State.Name((await ask(channel, metadata, request)).state)
    except grpc.aio.AioRpcError as error:
        return error.code().name


async def test_a_thousand_buyers_of_ten_items_get_exactly_ten(stack, rare):
    gate = asyncio.Semaphore(AT_A_TIME)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}") as channel:

        async def one(number):
            async with gate:
                return await buy(channel, customer.metadata(stack.settings, f"buyer-{number}"), rare)

        outcomes = Counter(await asyncio.gather(*(one(number) for number in range(BUYERS))))
        stock = await stock_of(channel, rare)

    assert outcomes == {"CONFIRMED": ITEMS, "FAILED_PRECONDITION": BUYERS - ITEMS}
    assert stock.available == 0
    assert stock.on_hand == stock.held + stock.sold
