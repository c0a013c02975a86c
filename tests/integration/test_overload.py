"""More concurrent calls than the edge admits: the excess is rejected at once with a retry delay."""

import asyncio
import uuid

import grpc
import httpx
from shop.orders.v1 import order_service_pb2, order_service_pb2_grpc

from runtime import status
from stack import customer

AT_A_TIME = 400


async def test_calls_above_the_limit_get_a_retry_delay_and_the_others_succeed(stack):
    metadata = customer.metadata(stack.settings, f"flood-{uuid.uuid4()}")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}") as channel:
        stub = order_service_pb2_grpc.OrderServiceStub(channel)

        async def one():
            try:
                await stub.ListOrders(order_service_pb2.ListOrdersRequest(), metadata=metadata, timeout=10)
            except grpc.aio.AioRpcError as error:
                return error.code(), status.from_rpc_error(error).retry_after_s
            return grpc.StatusCode.OK, None

        outcomes = await asyncio.gather(*(one() for _ in range(AT_A_TIME)))
        after = await one()

    assert set(outcomes) == {(grpc.StatusCode.RESOURCE_EXHAUSTED, 1.0), (grpc.StatusCode.OK, None)}
    assert after == (grpc.StatusCode.OK, None)


async def test_rest_clients_above_the_limit_get_retry_after(stack):
    async with stack.client(f"flood-{uuid.uuid4()}") as client:
        # Most wait for one of the client's own connections first.
        client.timeout = httpx.Timeout(15, pool=60)
        answers = await asyncio.gather(*(client.get("/v1/orders") for _ in range(AT_A_TIME)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert {answer.json()["code"] for answer in refused} == {8}
