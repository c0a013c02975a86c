"""REST requests that are invalid, or valid and expensive."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Callable, Sequence

from chaos.hostile.target import Answers, Attack, Target
from chaos.hostile.wire import raw

MIB = 1024 * 1024
Request = Callable[[Target], bytes]


def request(line: bytes, *headers: bytes, body: bytes = b"", signed: bool = False) -> Request:
    """
    Return a function that builds an HTTP/1.1 request of a *line*, *headers* and a *body*, with a customer's token if
    *signed*.
    """

    def made(target: Target) -> bytes:
        lines = [line + b" HTTP/1.1", b"host: 127.0.0.1", b"connection: close", *headers]
        if body:
            lines.append(b"content-length: %d" % len(body))
        if signed:
            lines.append(b": ".join(target.bearer))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    return made


def each_of(requests: Sequence[Request], *, clients: int = 4, pause_s: float = 0.02) -> Attack:
    """
    Return the attack that sends *requests* in a loop.
    """

    async def attack(target: Target) -> Answers:
        sent = [make(target) for make in requests]

        async def one(number: int) -> str:
            return await raw(target.edge, [sent[number % len(sent)]])

        return await target.volley(one, clients=clients, pause_s=pause_s)

    return attack


def _order(body: bytes, *headers: bytes, signed: bool = True) -> Request:
    key = b"idempotency-key: " + str(uuid.uuid4()).encode()
    return request(b"POST /v1/orders", b"content-type: application/json", key, *headers, body=body, signed=signed)


def _nested(depth: int) -> bytes:
    return b'{"lines":' + b"[" * depth + b"]" * depth + b"}"


def _keys(count: int) -> bytes:
    # Names of one length that differ in their last letters only: the worst case for a poor hash.
    return b"{" + b",".join(b'"aaaaaaaaaaaaaaaa%06d":1' % number for number in range(count)) + b"}"


def _lines(line: bytes, count: int) -> bytes:
    return b'{"lines":[' + b",".join([line] * count) + b"]}"


ORDER_ID = str(uuid.UUID(int=0)).encode()
not_utf8 = each_of(
    [
        request(b"GET /v1/products?pageToken=%ff"),
        request(b"GET /v1/products/%ff"),
        request(b"GET /v1/products/\xff"),
        request(b"GET /v1/products?pageToken=\xff\xfe"),
        request(b"GET /v1/orders?pageToken=%ff", signed=True),
        request(b"GET /v1/orders/%ff", signed=True),
        request(b"GET /v1/products?fields=%ff"),
        request(b"GET /v1/products?%ff=1"),
        request(b"POST /v1/orders?requestId=%ff", b"content-type: application/json", body=b"{}", signed=True),
        request(b"POST /v1/orders/" + ORDER_ID + b":cancel", body=b'{"requestId":"\xff"}', signed=True),
        _order(b'{"lines":[{"product":"\xff\xfe","quantity":1}]}'),
        _order(b'{"lines":[{"product":"\\ud800","quantity":1}]}'),
        _order(b"{}", b"idempotency-key: \xff\xfe"),
        _order(b"{}", b"traceparent: \xff"),
        _order(b"{}", b"if-none-match: \xff"),
    ]
)
grpc_timeout = each_of(
    [request(b"GET /v1/products", b"grpc-timeout: " + value) for value in (b"1m", b"1n", b"1u", b"x", b"0S")]
    + [_order(b"{}", b"grpc-timeout: 1m")]
    + [request(b"GET /v1/orders", b"grpc-timeout: 1m", signed=True)]
)
control_headers = each_of(
    [
        request(b"GET /v1/products", header)
        for header in (
            b"x-a-bin: A",
            b"lb-cost-bin: AA==",
            b"grpc-previous-rpc-attempts: 999999999999999",
            b"grpc-retry-pushback-ms: x",
            b"grpc-encoding: nonsense",
            b"grpc-accept-encoding: nonsense",
            b"content-type: application/grpc",
            b"content-type: application/grpc-web",
            b"content-type: application/grpc-web-text",
            b"te: nonsense",
            b"x-http-code: 999",
            b"x-envoy-upstream-rq-timeout-ms: 1",
            b"x-envoy-retry-on: 5xx",
            b"x-envoy-original-path: /x",
            b"x-forwarded-for: " + b"1.2.3.4," * 500,
            b"expect: 100-continue",
            b"upgrade: websocket",
            b"range: bytes=0-0,1-1,2-2",
        )
    ]
)
fields = each_of(
    [
        request(b"GET /v1/products?fields=name" + b"+" * 30_000 + b"x"),
        request(b"GET /v1/products?fields=" + b"a," * 15_000),
        request(b"GET /v1/products?fields=" + b"a(" * 15_000),
        request(b"GET /v1/products?fields=" + b"name/" * 6_000),
        request(b"GET /v1/products?fields=" + b"%20" * 10_000),
        request(b"GET /v1/products?" + b"&" * 30_000),
        request(b"GET /v1/products?" + b"fields=name&" * 2_500),
        request(b"GET /v1/products?" + b"pageSize=1&" * 2_500),
        request(b"GET /v1/products?" + b"a.b" * 10_000 + b"=1"),
    ],
    clients=2,
    pause_s=0.2,
)
long_heads = each_of(
    [
        request(b"GET /v1/products/" + b"a" * 20_000),
        request(b"GET /v1/products/" + b"a" * 100_000),
        request(b"GET /" + b"../" * 8_000),
        request(b"GET /" + b"%2e%2e%2f" * 3_000),
        request(b"GET /v1/orders/" + b"a" * 20_000, signed=True),
        request(b"GET /v1/products", b"x-long: " + b"a" * 20_000),
        request(b"GET /v1/products", b"x-long: " + b"a" * 100_000),
        request(b"GET /v1/products", *(b"x-%d: a" % number for number in range(99))),
        request(b"GET /v1/products", *(b"x-%d: a" % number for number in range(1_000))),
        request(b"GET /v1/products", b"cookie: " + b"a=b; " * 5_000),
        request(b"GET /v1/products", b"x_under_score: 1"),
    ]
)
json = each_of(
    [
        _order(_nested(100)),
        _order(_nested(20_000)),
        _order(_keys(20_000)),
        _order(_lines(b"{}", 50_000)),
        _order(_lines(b'{"quantity":-1}', 1_000)),
        _order(b'{"lines":[{"product":"products/x","quantity":1e999}]}'),
        _order(b'{"lines":[{"product":"' + b"x" * 200_000 + b'","quantity":1}]}'),
        _order(b'{"totalPrice":{"units":"9223372036854775808"}}'),
        _order(b"[" * 50_000),
        _order(b"\0" * 50_000),
        _order(_keys(20_000), signed=False),
        _order(_nested(20_000), signed=False),
    ],
    pause_s=0.1,
)
bad_lines = each_of(
    [_order(_lines(b"{}", count)) for count in (100, 101, 300, 1_000, 5_000)]
    + [_order(_lines(b'{"product":"' + b"x" * 200 + b'","quantity":-1}', 100))],
    pause_s=0.05,
)
too_large = each_of(
    [
        _order(b" " * (5 * MIB)),
        _order(b" " * (5 * MIB), signed=False),
        request(b"GET /v1/products", body=b"x" * (5 * MIB)),
    ],
    clients=2,
    pause_s=0.1,
)
_BOMB = gzip.compress(b" " * (64 * MIB), 9)
gzip_bomb = each_of(
    [
        _order(_BOMB, b"content-encoding: gzip"),
        _order(_BOMB, b"content-encoding: gzip", signed=False),
        _order(gzip.compress(_BOMB), b"content-encoding: gzip, gzip"),
    ],
    pause_s=0.1,
)
smuggled = each_of(
    [
        request(b"POST /v1/orders", b"transfer-encoding: chunked", b"content-length: 4", body=b"0\r\n\r\nGET /x"),
        request(b"POST /v1/orders", b"transfer-encoding : chunked", body=b"0\r\n\r\n"),
        request(b"POST /v1/orders", b"content-length: 1", b"content-length: 2", body=b"x"),
        request(b"GET http://orders.shop.svc.cluster.local/v1/products"),
        request(b"CONNECT orders:50051"),
        request(b"GET /v1/products", b"a: b\nc: d"),
        request(b"GET /v1/products", b"connection: authorization, x-customer-id"),
        request(b"PRI *"),
        request(b"\x16\x03\x01\x02\x00"),
    ]
)
