"""High rates of valid requests, and messages above the size limits."""

from __future__ import annotations

import asyncio
import re
import time
import uuid

import grpc
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.orders.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

from chaos.hostile.malformed import call, in_turn
from chaos.hostile.target import CREATE, ORDERS, PRODUCTS, Answers, Target
from chaos.hostile.wire import Call, raw

EMPTY_LINES = 200_000
BATCH = 1000
# Inventory validates no batch of more lines than these have with 100 each.
VALIDATED_BASKETS = 128
WATCHERS = 2000
WATCHERS_A_CHANNEL = 100
CALL_LIMIT_S = 20
FLOOD_BURST = 50
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_UNCOMPRESSED = (("grpc.use_local_subchannel_pool", 1),)


def _metadata(target: Target) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {target.token}"),)


def _channel(target: Target) -> grpc.aio.Channel:
    host, port = target.edge
    return grpc.aio.insecure_channel(f"{host}:{port}", options=_UNCOMPRESSED)


def _outcome(error: grpc.aio.AioRpcError) -> str:
    return f"grpc {error.code().value[0]}"


def _create(target: Target, lines: list[order_pb2.OrderLine]) -> Call:
    request = order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=lines), request_id=str(uuid.uuid4()))
    return call(CREATE, request.SerializeToString(), target.bearer)


def _line(target: Target) -> order_pb2.OrderLine:
    return order_pb2.OrderLine(product=target.product, quantity=1)


async def empty_lines(target: Target) -> Answers:
    """
    Send orders of 200,000 empty lines each, 585 kB on the wire.
    """
    return await in_turn(target, target.edge, [_create(target, [order_pb2.OrderLine()] * EMPTY_LINES)])


async def empty_lines_in_a_batch(target: Target) -> Answers:
    """
    Send batches of 1,000 orders of 100 empty lines each, and batches with one order of 200,000.
    """
    lines = [order_pb2.OrderLine()]
    many = order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=lines * 100), request_id="x")
    one = order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=lines * EMPTY_LINES), request_id="x")
    path = "/shop.orders.v1.OrderService/BatchCreateOrders"
    batches = [
        order_service_pb2.BatchCreateOrdersRequest(requests=[many] * BATCH),
        order_service_pb2.BatchCreateOrdersRequest(requests=[one]),
        order_service_pb2.BatchCreateOrdersRequest(requests=[order_service_pb2.CreateOrderRequest()] * EMPTY_LINES),
    ]
    return await in_turn(target, target.edge, [call(path, each.SerializeToString(), target.bearer) for each in batches])


async def large_messages(target: Target) -> Answers:
    """
    Send gRPC messages of 5 MB, with and without a token.
    """
    request = order_service_pb2.CreateOrderRequest(request_id="x" * 5_000_000).SerializeToString()
    listed = inventory_service_pb2.ListProductsRequest(page_token="x" * 5_000_000).SerializeToString()
    return await in_turn(target, target.edge, [call(CREATE, request, target.bearer), call(PRODUCTS, listed)])


async def large_metadata(target: Target) -> Answers:
    """
    Send gRPC calls with 12 to 60 kB of metadata.
    """
    sizes = (12_000, 16_500, 30_000, 60_000)
    calls = [call(PRODUCTS, b"", (b"x-long", b"a" * size)) for size in sizes]
    calls += [call(ORDERS, b"", target.bearer, (b"x-long", b"a" * size)) for size in sizes]
    return await in_turn(target, target.edge, calls)


async def batches(target: Target) -> Answers:
    """
    Send eight valid batches of 1,000 orders concurrently, in a loop.
    """
    async with _channel(target) as channel:
        stub = order_service_pb2_grpc.OrderServiceStub(channel)

        async def one(_: int) -> str:
            order = order_pb2.Order(lines=[_line(target)])
            requests = [
                order_service_pb2.CreateOrderRequest(order=order, request_id=str(uuid.uuid4())) for _ in range(BATCH)
            ]
            try:
                await stub.BatchCreateOrders(
                    order_service_pb2.BatchCreateOrdersRequest(requests=requests),
                    metadata=_metadata(target),
                    timeout=CALL_LIMIT_S,
                )
            except grpc.aio.AioRpcError as error:
                return _outcome(error)
            return "grpc 0"

        return await target.volley(one, clients=8, most=64)


async def watchers(target: Target) -> Answers:
    """
    Open 2,000 watches of one order by one customer.
    """
    channels = [_channel(target) for _ in range(WATCHERS // WATCHERS_A_CHANNEL)]
    try:
        stubs = [order_service_pb2_grpc.OrderServiceStub(channel) for channel in channels]
        order = await stubs[0].CreateOrder(
            order_service_pb2.CreateOrderRequest(
                order=order_pb2.Order(lines=[_line(target)]), request_id=str(uuid.uuid4())
            ),
            metadata=_metadata(target),
            timeout=CALL_LIMIT_S,
        )
        request = order_service_pb2.WatchOrderRequest(name=order.name)

        async def one(number: int) -> str:
            try:
                watched = stubs[number % len(stubs)].WatchOrder(
                    request, metadata=_metadata(target), timeout=target.seconds
                )
                async for _ in watched:
                    pass
            except grpc.aio.AioRpcError as error:
                return "held" if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else _outcome(error)
            return "ended"

        return await target.at_once(one, WATCHERS)
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


async def _pipelined(target: Target, request: bytes, *, per_s: int, connections: int = 4) -> Answers:
    """
    Send *request* *per_s* times a second over a few connections, without waiting for responses.
    """
    end, answers = time.monotonic() + target.seconds, Answers()

    async def client() -> None:
        while time.monotonic() < end:
            try:
                reader, writer = await asyncio.open_connection(*target.edge)
            except OSError:
                answers["refused"] += 1
                await asyncio.sleep(0.1)
                continue
            reading = asyncio.create_task(_count(reader, answers))
            try:
                while time.monotonic() < end and not reading.done():
                    writer.write(request * FLOOD_BURST)
                    await writer.drain()
                    await asyncio.sleep(FLOOD_BURST * connections / per_s)
            except OSError:
                answers["closed"] += 1
            finally:
                reading.cancel()
                writer.transport.abort()

    await asyncio.gather(*(client() for _ in range(connections)))
    return answers


async def _count(reader: asyncio.StreamReader, answers: Answers) -> None:
    while line := await reader.readline():
        # The head of an answer follows the body of the one before it, which need not end with a line.
        answers.update(f"http {status.decode()}" for status in STATUS.findall(line))


async def anonymous_flood(target: Target) -> Answers:
    """
    Send 3,000 anonymous requests a second for the products.
    """
    return await _pipelined(target, b"GET /v1/products HTTP/1.1\r\nhost: x\r\n\r\n", per_s=3000)


async def customers_flood(target: Target) -> Answers:
    """
    Send 1,000 requests a second for one customer's orders.
    """
    head = b"GET /v1/orders HTTP/1.1\r\nhost: x\r\n" + b": ".join(target.bearer) + b"\r\n\r\n"
    return await _pipelined(target, head, per_s=1000)


async def forged_tokens(target: Target) -> Answers:
    """
    Send 500 requests a second with tokens whose signature is wrong.
    """
    forged = target.token[:-8] + "AAAAAAAA"
    head = b"GET /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + forged.encode() + b"\r\n\r\n"
    return await _pipelined(target, head, per_s=500)


async def odd_tokens(target: Target) -> Answers:
    """
    Send invalid tokens: long, nested, binary, in the query string, twice.
    """
    tokens = (b"", b"a" * 20_000, b"." * 5_000, b"a.b.c", b"\xff\xfe", b"e30.e30.", b"null")
    requests = [b"GET /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + each + b"\r\n\r\n" for each in tokens]
    requests.append(b"GET /v1/orders?access_token=" + target.token.encode() + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    twice = (b": ".join(target.bearer) + b"\r\n") * 2
    requests.append(b"GET /v1/orders HTTP/1.1\r\nhost: x\r\n" + twice + b"\r\n")

    async def one(number: int) -> str:
        return await raw(target.edge, [requests[number % len(requests)]])

    return await target.volley(one)


async def new_connections(target: Target) -> Answers:
    """
    Open a connection for every request, from 16 clients that do not wait.
    """

    async def one(_: int) -> str:
        return await raw(target.edge, [b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"])

    return await target.volley(one, clients=16, pause_s=0.01)


async def empty_lines_inside(target: Target) -> Answers:
    """
    From within the mesh, ask inventory to hold 200,000 empty lines, 1,000 baskets of 100, and as many as it validates.
    """
    lines = [inventory_pb2.HoldLine()]
    name = f"orders/{uuid.uuid4()}"
    hold = inventory_service_pb2.HoldStockRequest(order=name, lines=lines * EMPTY_LINES)
    basket = inventory_service_pb2.HoldStockRequest(order=name, lines=lines * 100)
    batches = [
        inventory_service_pb2.BatchHoldStockRequest(requests=[basket] * count) for count in (BATCH, VALIDATED_BASKETS)
    ]
    messages = [
        ("HoldStock", hold.SerializeToString()),
        *(("BatchHoldStock", each.SerializeToString()) for each in batches),
    ]
    authority = (b":authority", b"inventory.shop.svc.cluster.local:50051")
    calls = []
    for method, message in messages:
        right = call(f"/shop.inventory.v1.InventoryService/{method}", message)
        calls.append(Call((authority, *(each for each in right.headers if each[0] != b":authority")), right.body))
    return await in_turn(target, target.outbound_of_orders, calls)
