"""Malformed requests are answered by the edge: no service receives them, and no replica is ejected."""

from __future__ import annotations

import asyncio
import random
import struct
import time

import httpx
import pytest

from chaos.hostile.malformed import FORMS, call
from chaos.hostile.wire import exchange, raw
from tests.components.hops import rig
from tests.components.hops.test_breakers import buy

AT = (rig.EDGE, 8080)
PRODUCTS = "/shop.inventory.v1.InventoryService/ListProducts"
CREATE = "/shop.orders.v1.OrderService/CreateOrder"
TIMES = 12
# Headers that are removed, after which the call is valid; the services themselves reject none of these.
MENDED = {
    "binary-metadata", "load-report", "endpoint-load", "attempts", "pushback", "trace", "tags", "status-sent",
    "accept-encoding", "internal-encoding", "short-timeout", "odd-timeout",
}  # fmt: skip
REFUSED = {
    "no-te", "no-message", "cut-frame", "4-gib-frame", "two-messages", "compressed-unsaid", "unknown-encoding",
    "broken-gzip", "gzip-bomb", "odd-flag", "unknown-method", "method", "content-type",
}  # fmt: skip


def seen(hops: rig.Rig) -> int:
    """
    Return how many calls the edge has sent to services.
    """
    return hops.statistic(".upstream_rq_total")


def sent(form: str, path: str, *, token: str = "") -> set[str]:
    """
    Return the edge's response to a call of this form.
    """
    chance = random.Random(7)
    further = ((b"authorization", f"Bearer {token}".encode()),) if token else ()

    async def several() -> set[str]:
        calls = [FORMS[form](call(path, b"", *further), chance) for _ in range(TIMES)]
        return {await exchange(AT, each) for each in calls}

    return asyncio.run(several())


@pytest.mark.parametrize("form", sorted(FORMS))
def test_no_malformed_call_ejects_a_replica(hops: rig.Rig, customer: httpx.Client, form: str) -> None:
    before, token = hops.ejections(), hops.token("attacker")
    sent(form, PRODUCTS)
    sent(form, CREATE, token=token)
    assert hops.ejections() == before
    assert customer.get("/v1/products").status_code == 200
    assert buy(customer).status_code == 201


@pytest.mark.parametrize("form", sorted(REFUSED & set(FORMS)))
def test_malformed_calls_are_refused_by_the_edge(hops: rig.Rig, form: str) -> None:
    before = seen(hops)
    endings = sent(form, PRODUCTS)
    # INVALID_ARGUMENT and UNIMPLEMENTED, or a 4xx for what is not gRPC at all.
    ended = {"reset 1", "reset 2", "closed", "refused"}
    assert endings <= {"grpc 3", "grpc 12", "http 400", "http 404", "http 405", "http 415"} | ended
    assert seen(hops) == before


@pytest.mark.parametrize("form", sorted(MENDED & set(FORMS)))
def test_trusted_headers_of_clients_are_removed(hops: rig.Rig, form: str) -> None:
    assert sent(form, PRODUCTS) <= {"grpc 0", "http 200", "reset 1"}


PATHS = [
    "/v1/products?pageToken=%ff",
    "/v1/products/%ff",
    "/v1/orders?requestId=%ff",
    "/v1/products/%c0%af",
    "/v1/products/%ed%a0%80",
    "/v1/products/a%00b",
    "/v1/products?page_token=" + "a" * 5000,
    "/v1/products?" + "fields=name&" * 100,
]


@pytest.mark.parametrize("path", PATHS)
def test_unparsable_path_is_refused_by_the_edge(hops: rig.Rig, path: str) -> None:
    before = seen(hops)
    with httpx.Client(base_url=f"http://{rig.HTTP}") as client:
        answer = client.get(path)
    assert answer.status_code in (400, 414)
    assert answer.json()["code"] == 3
    assert seen(hops) == before


def test_grpc_timeout_header_of_a_rest_call_is_ignored(hops: rig.Rig, customer: httpx.Client) -> None:
    for _ in range(TIMES):
        assert customer.get("/v1/products", headers={"grpc-timeout": "1m"}).status_code == 200


def test_body_is_not_read_before_authentication(hops: rig.Rig) -> None:
    head = b"POST /v1/orders HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\ncontent-type: application/json\r\n"
    for length in (b"content-length: 1000\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"):
        assert asyncio.run(raw(AT, [head + length])) == "http 401"


def test_call_takes_no_slot_before_its_body_is_complete(hops: rig.Rig) -> None:
    token = hops.token("slow")
    head = f"POST /v1/orders HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\nauthorization: Bearer {token}\r\n"
    started = [head.encode() + b"content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"]
    before = seen(hops)

    async def several() -> list[str]:
        return await asyncio.gather(*(raw(AT, started, limit_s=2) for _ in range(20)))

    assert set(asyncio.run(several())) == {"silence"}
    assert seen(hops) == before


@pytest.mark.parametrize("path", ["/v1/products", "/nothing", "/", "/ops/api/board", PRODUCTS])
def test_anonymous_caller_cannot_make_the_edge_buffer_a_large_body(hops: rig.Rig, path: str) -> None:
    kind = b"application/grpc\r\nte: trailers" if path == PRODUCTS else b"application/json"
    head = b"POST " + path.encode() + b" HTTP/1.1\r\nhost: a\r\ncontent-type: " + kind
    pieces = [head + b"\r\ntransfer-encoding: chunked\r\n\r\n", *[b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 3]
    assert asyncio.run(raw(AT, pieces)) != "silence"


def test_endless_stream_takes_no_slot_either(hops: rig.Rig) -> None:
    token = hops.token("slow")
    before = seen(hops)
    unended = call(CREATE, b"", (b"authorization", f"Bearer {token}".encode()))
    unended = type(unended)(unended.headers, unended.body, end=False)
    assert asyncio.run(exchange(AT, unended, limit_s=1)) == "silence"
    assert seen(hops) == before


def test_reflection_is_served_under_both_names(hops: rig.Rig) -> None:
    # A request for the list of services (ServerReflectionRequest.list_services). The rig has no reflection, so only a
    # service can reply so.
    for version in ("v1", "v1alpha"):
        before = seen(hops)
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        assert asyncio.run(exchange(AT, call(path, b"\x3a\x00"))) == "grpc 12"
        assert seen(hops) == before + 1


def test_query_parsing_is_linear(hops: rig.Rig) -> None:
    def took(query: str) -> float:
        with httpx.Client(base_url=f"http://{rig.HTTP}") as client:
            rounds = []
            for _ in range(5):
                began = time.perf_counter()
                for _ in range(10):
                    assert client.get(f"/v1/products/x?{query}").status_code == 400
                rounds.append(time.perf_counter() - began)
        return min(rounds)

    size = 3900
    plain = took("fields=name" + "x" * size)
    for hostile in (
        "fields=name" + "+" * size + "x",
        "fields=" + "+" * size,
        "x" + "." * size,
        "fields=" + "a_" * 1900,
    ):
        assert took(hostile) < 3 * plain, hostile[:20]


def test_frame_length_is_checked_by_the_edge(hops: rig.Rig) -> None:
    good = call(PRODUCTS)
    assert asyncio.run(exchange(AT, good)) == "grpc 0"
    long = type(good)(good.headers, struct.pack(">BI", 0, 3) + b"\x08\x01")
    assert asyncio.run(exchange(AT, long)) == "grpc 3"
