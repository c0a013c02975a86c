"""gRPC calls with one error each, to both services, with and without a token."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from shop.inventory.v1 import inventory_service_pb2
from shop.orders.v1 import allocation_service_pb2, operations_service_pb2, order_service_pb2

from chaos.hostile.target import CREATE, ORDERS, PRODUCT, PRODUCTS, Answers, Attack, Target
from chaos.hostile.wire import Address, Call, Header, exchange

SERVICES = (
    *order_service_pb2.DESCRIPTOR.services_by_name.values(),
    *operations_service_pb2.DESCRIPTOR.services_by_name.values(),
    *allocation_service_pb2.DESCRIPTOR.services_by_name.values(),
    *inventory_service_pb2.DESCRIPTOR.services_by_name.values(),
)
NOT_UTF8 = b"\xff\xfe\xc3("
NEVER_DEEPER = 4
BOMB_MIB = 64
Form = Callable[[Call, random.Random], Call]


def framed(message: bytes, *, flag: int = 0, length: int | None = None) -> bytes:
    """
    Return *message* in gRPC framing, with a *flag* and a *length* that may be wrong.
    """
    return struct.pack(">BI", flag, len(message) if length is None else length) + message


def call(path: str, message: bytes = b"", *further: Header) -> Call:
    """
    Return a valid gRPC call of *path*.
    """
    headers = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode("latin-1")),
        (b":authority", b"127.0.0.1"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    return Call((*headers, *further), framed(message))


def with_header(name: bytes, *values: bytes) -> Form:
    """
    Return the form that replaces header *name* with one of *values*.
    """

    def form(right: Call, chance: random.Random) -> Call:
        others = tuple(each for each in right.headers if each[0] != name)
        header = (name, chance.choice(values))
        # Pseudo-headers come before all others.
        return replace(right, headers=(header, *others) if name.startswith(b":") else (*others, header))

    return form


def with_body(*bodies: bytes) -> Form:
    """
    Return the form that sends one of *bodies*.
    """
    return lambda right, chance: replace(right, body=chance.choice(bodies))


def compressed(encoding: bytes | None, body: bytes) -> Form:
    """
    Return the form that sends *body* compressed with *encoding*.
    """

    def form(right: Call, chance: random.Random) -> Call:
        further = () if encoding is None else ((b"grpc-encoding", encoding),)
        return replace(right, headers=right.headers + further, body=body)

    return form


@cache
def _bomb() -> bytes:
    packer, zeros = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16), bytes(1024 * 1024)
    return b"".join([*(packer.compress(zeros) for _ in range(BOMB_MIB)), packer.flush()])


def gzip_bomb(right: Call, chance: random.Random) -> Call:
    """
    Send 64 kB of gzip that are a message of 64 MiB.
    """
    return compressed(b"gzip", framed(_bomb(), flag=1))(right, chance)


def without_te(right: Call, _: random.Random) -> Call:
    """
    Leave out `te: trailers`.
    """
    return replace(right, headers=tuple(each for each in right.headers if each[0] != b"te"))


GARBAGE = bytes(range(255, 127, -1))
FORMS: Mapping[str, Form] = {
    "no-te": without_te,
    "no-message": with_body(b""),
    "cut-frame": with_body(b"\0", b"\0\0\0", framed(b"abc", length=100)),
    "4-gib-frame": with_body(framed(b"abc", length=0xFFFFFFFF), framed(b"", length=0x7FFFFFFF)),
    "unparsable": with_body(framed(b"\xff" * 64), framed(GARBAGE), framed(b"\x0a\xff\xff\xff\xff\x0f")),
    "two-messages": with_body(framed(b"") * 2, framed(b"") * 100),
    "compressed-unsaid": compressed(None, framed(GARBAGE, flag=1)),
    "unknown-encoding": compressed(b"nonsense", framed(GARBAGE, flag=1)),
    "broken-gzip": compressed(b"gzip", framed(GARBAGE, flag=1)),
    "gzip-bomb": gzip_bomb,
    "odd-flag": with_body(framed(b"", flag=0xFF), framed(b"", flag=2)),
    "binary-metadata": with_header(b"x-a-bin", b"A", b"*", b"A" * 5, b"AA=A"),
    "load-report": with_header(b"lb-cost-bin", b"AA==", b"A"),
    "endpoint-load": with_header(b"endpoint-load-metrics-bin", b"AA==", b"A"),
    "attempts": with_header(b"grpc-previous-rpc-attempts", b"999999999999999", b"-1", b"x"),
    "pushback": with_header(b"grpc-retry-pushback-ms", b"x", b"-1", b"99999999999999999999"),
    "trace": with_header(b"grpc-trace-bin", b"A", b"AA==", b"A" * 4000),
    "tags": with_header(b"grpc-tags-bin", b"A", b"AA==", b"A" * 4000),
    "status-sent": with_header(b"grpc-status", b"14", b"x", b"999999999999"),
    "accept-encoding": with_header(b"grpc-accept-encoding", b"nonsense", b"," * 4000, b"\xff"),
    "internal-encoding": with_header(b"grpc-internal-encoding-request", b"gzip", b"nonsense"),
    "short-timeout": with_header(b"grpc-timeout", b"1n", b"100n", b"1u", b"100u", b"1m", b"2m"),
    "odd-timeout": with_header(b"grpc-timeout", b"", b"x", b"-1S", b"999999999S", b"1", b"1.5S", b"0S", b"00000001H"),
    "content-type": with_header(
        b"content-type",
        b"application/grpc-web",
        b"application/grpc-web+proto",
        b"application/grpc-web-text",
        b"application/grpc+nonsense",
        b"application/grpc;x=y",
        b"application/GRPC",
        b"application/connect+proto",
        b"application/proto",
        b"",
    ),
    "method": with_header(b":method", b"GET", b"PUT", b"TRACE", b"OPTIONS", b"HEAD", b"POST ", b"nonsense"),
    "authority": with_header(b":authority", b"", b"x" * 2000, b"orders.shop.svc.cluster.local:50051", b"\xff", b"a b"),
    "unknown-method": with_header(
        b":path",
        b"/shop.orders.v1.OrderService/Nothing",
        b"/shop.inventory.v1.InventoryService/Nothing",
        b"/shop.inventory.v1.InventoryService/GetProduct/",
        b"/shop.inventory.v1.InventoryService/",
        b"/shop.orders.v1.OrderService/CreateOrder%00",
        b"/shop.orders.v1.OrderService/createorder",
        b"/shop.orders.v1.OrderService/%ff",
        b"/shop.orders.v1.OrderService/\xff",
    ),
    "unknown-service": with_header(
        b":path", b"/a.b/C", b"/grpc.health.v1.Health/Check", b"/grpc.health.v1.Health/Watch"
    ),
    "reflection": with_header(
        b":path",
        b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        b"/grpc.reflection.v2.Nothing/Nothing",
        b"/grpc.reflection.",
    ),
    "upgrade": with_header(b"upgrade", b"websocket", b"h2c"),
    "envoy-headers": with_header(b"x-envoy-upstream-rq-timeout-ms", b"1", b"0", b"x"),
    "envoy-retries": with_header(b"x-envoy-max-retries", b"1000", b"x"),
    "envoy-retry-on": with_header(b"x-envoy-retry-grpc-on", b"internal,unavailable,deadline-exceeded,cancelled"),
    "envoy-expected": with_header(b"x-envoy-expected-rq-timeout-ms", b"1", b"x"),
}


def at_the_edge(form: Form) -> Attack:
    """
    Return the attack that sends calls of *form* to both services through the edge.
    """

    async def attack(target: Target) -> Answers:
        places = (
            call(PRODUCTS),
            call(PRODUCT, _text(1, target.product.encode())),
            call(ORDERS, b"", target.bearer),
            call(CREATE, b"", target.bearer),
        )

        async def one(number: int) -> str:
            return await exchange(target.edge, form(places[number % len(places)], target.chance))

        return await target.volley(one)

    return attack


def from_inside(form: Form) -> Attack:
    """
    Return the attack with calls of *form* between the services: from orders to inventory, and from inventory to
    orders.
    """

    async def attack(target: Target) -> Answers:
        hold, lists = (
            "/shop.inventory.v1.InventoryService/HoldStock",
            "/shop.orders.v1.AllocationService/CheckAllocations",
        )
        places = (
            (target.outbound_of_orders, _internal(call(hold), b"inventory")),
            (target.outbound_of_orders, _internal(call(PRODUCTS), b"inventory")),
            (target.outbound_of_inventory, _internal(call(lists), b"orders")),
        )

        async def one(number: int) -> str:
            at, right = places[number % len(places)]
            return await exchange(at, form(right, target.chance))

        return await target.volley(one)

    return attack


def _internal(right: Call, service: bytes) -> Call:
    return with_header(b":authority", service + b".shop.svc.cluster.local:50051")(right, random.Random(0))  # noqa: S311


async def strings_not_utf8(target: Target) -> Answers:
    """
    Send invalid UTF-8 in every string field of every method of the contract, as a customer and as an operator.
    """
    operator = (b"authorization", f"Bearer {target.operator_token}".encode())
    places = [
        call(f"/{service.full_name}/{method.name}", message, bearer)
        for service in SERVICES
        for method in service.methods
        for message in bad_texts(method)
        for bearer in (target.bearer, operator)
    ]

    async def one(number: int) -> str:
        return await exchange(target.edge, places[number % len(places)])

    return await target.volley(one, clients=8, pause_s=0.01, most=2 * len(places))


async def strings_not_utf8_inside(target: Target) -> Answers:
    """
    Send invalid UTF-8 in every string field of every method, to inventory as orders, and to orders as inventory.
    """
    places = [
        (at, _internal(call(f"/{service.full_name}/{method.name}", message), host))
        for service in SERVICES
        for at, host in [
            (target.outbound_of_orders, b"inventory")
            if "inventory" in service.full_name
            else (target.outbound_of_inventory, b"orders")
        ]
        for method in service.methods
        for message in bad_texts(method)
    ]

    async def one(number: int) -> str:
        return await exchange(*places[number % len(places)])

    return await target.volley(one, clients=8, pause_s=0.01, most=2 * len(places))


def bad_texts(method: MethodDescriptor) -> Iterator[bytes]:
    """
    Return a request of *method* for each of its string fields, with invalid UTF-8 there.
    """
    return _bad_texts(method.input_type, NEVER_DEEPER)


def _bad_texts(message: Descriptor, deeper: int) -> Iterator[bytes]:
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield _text(field.number, NOT_UTF8)
        elif field.type == FieldDescriptor.TYPE_MESSAGE and deeper and field.message_type is not None:
            yield from (_text(field.number, inner) for inner in _bad_texts(field.message_type, deeper - 1))


def _text(number: int, value: bytes) -> bytes:
    # A length below 128 is one byte (protobuf.dev: "Encoding").
    assert number < 16  # noqa: S101
    assert len(value) < 128  # noqa: S101
    return bytes((number << 3 | 2, len(value))) + value


async def in_turn(target: Target, at: Address, calls: list[Call]) -> Answers:
    """
    Send *calls* to *at* in a loop.
    """

    async def one(number: int) -> str:
        return await exchange(at, calls[number % len(calls)])

    return await target.volley(one)
