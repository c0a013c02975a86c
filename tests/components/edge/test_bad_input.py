"""Every invalid request gets an error in the same format that names the field, and has no effect."""

from __future__ import annotations

import json
import socket
import uuid
from typing import Any

import httpx
import pytest

from tests.components.edge.conftest import Buyer
from tests.components.edge.statuses import detail, error, fields

NOBODY = "orders/9f4e4d67-0000-5000-8000-000000000000"
JSON = {"content-type": "application/json", "idempotency-key": "bad-input"}
TEA = {"product": "products/tea-1", "quantity": 1}


def basket(*lines: Any) -> str:
    """
    Return the body of an order.
    """
    return json.dumps({"lines": lines})


BODIES = {
    "no lines": ("{}", ["order.lines"]),
    "quantity zero": (basket(TEA | {"quantity": 0}), ["order.lines[0].quantity"]),
    "quantity negative": (basket(TEA | {"quantity": -1}), ["order.lines[0].quantity"]),
    "quantity too large": (basket(TEA | {"quantity": 1001}), ["order.lines[0].quantity"]),
    "quantity beyond 32 bits": (basket(TEA | {"quantity": 2**40}), ["order.lines[0].quantity"]),
    "quantity a word": (basket(TEA | {"quantity": "x"}), ["order.lines[0].quantity"]),
    "the second line": (basket(TEA, TEA | {"product": "x"}), ["order.lines[1].product"]),
    "a product twice": (basket(TEA, TEA), ["order.lines"]),
    "no product": (basket({"quantity": 1}), ["order.lines[0].product"]),
    "3,000 lines": (basket(*({"product": f"products/p{n}", "quantity": 1} for n in range(3_000))), ["order.lines"]),
    "not JSON": ('{"lines":[{', ["body"]),
    "JSON of another kind": ('"text"', ["order"]),
    "nested too deep": ("[" * 10_000, ["order"]),
}


@pytest.mark.parametrize("case", BODIES)
def test_wrong_basket_is_refused_with_its_field(client: httpx.Client, case: str) -> None:
    body, wrong = BODIES[case]
    refused = error(client.post("/v1/orders", content=body, headers=JSON), 400)
    assert fields(refused) == wrong
    assert refused["code"] == 3


def test_a_basket_too_large_to_validate_is_refused(client: httpx.Client) -> None:
    body = basket(*({"product": f"products/p{n}", "quantity": 1} for n in range(10_000)))
    refused = error(client.post("/v1/orders", content=body, headers=JSON), 400)
    assert detail(refused, "ErrorInfo")["reason"] == "MESSAGE_TOO_LARGE"


def test_unknown_product_is_refused_with_its_field(buyer: Buyer) -> None:
    refused = error(buyer.buy({"lines": [{"product": "products/unknown", "quantity": 1}]}), 400)
    assert detail(refused, "ErrorInfo")["reason"] == "UNKNOWN_PRODUCT"


QUERIES = {
    "/v1/orders?colour=red": "colour",
    "/v1/orders?page_size=red": "page_size",
    "/v1/orders?pageSize": "page_size",
    "/v1/products?pageSize=1&fields": "fields",
    "/v1/orders?pageSize=-1": "page_size",
    "/v1/orders?state=RED": "state",
    "/v1/products?state=PENDING": "state",
    f"/v1/{NOBODY}?page_size=1": "page_size",
    f"/v1/{NOBODY}?name=orders/x": "name",
    "/v1/products?fields=products.colour": "fields",
    "/v1/products?fields=": "fields",
    "/v1/products?fields=products..name": "fields",
    "/v1/products?fields=products.name.first": "fields",
    "/v1/products?fields=*": "fields",
    "/v1/orders/abc": "name",
    "/v1/orders/abc%2Fdef": "path",
}


@pytest.mark.parametrize("path", QUERIES)
def test_wrong_query_or_path_is_refused_with_its_field(client: httpx.Client, path: str) -> None:
    refused = error(client.get(path), 400)
    assert fields(refused) == [QUERIES[path]]


def test_order_without_a_key_is_refused_with_the_header_name(client: httpx.Client, buyer: Buyer) -> None:
    refused = error(client.post("/v1/orders", json=buyer.basket()), 400)
    assert fields(refused) == ["Idempotency-Key"]
    assert "Idempotency-Key" in refused["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""]
)
def test_body_without_a_json_content_type_is_refused(client: httpx.Client, buyer: Buyer, kind: str) -> None:
    response = client.post("/v1/orders", content=json.dumps(buyer.basket()), headers=JSON | {"content-type": kind})
    assert fields(error(response, 415)) == ["Content-Type"]


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_body_of_5_mb_is_refused(client: httpx.Client, chunked: bool) -> None:
    body = basket(*({"product": f"products/p{n}", "quantity": 1} for n in range(110_000))).encode()
    assert len(body) > 5_000_000
    refused = error(client.post("/v1/orders", content=iter([body]) if chunked else body, headers=JSON), 413)
    assert detail(refused, "ErrorInfo")["reason"] == "BODY_TOO_LARGE"


def test_body_of_almost_1_mib_is_accepted(client: httpx.Client, buyer: Buyer) -> None:
    body = json.dumps(buyer.basket()).ljust(1024 * 1024 - 100)
    response = client.post("/v1/orders", content=body, headers=JSON | {"idempotency-key": str(uuid.uuid4())})
    assert response.status_code in (201, 202)


METHODS = {
    ("DELETE", "/v1/orders"): "GET, HEAD, POST",
    ("PUT", f"/v1/{NOBODY}"): "GET, HEAD",
    ("PATCH", f"/v1/{NOBODY}"): "GET, HEAD",
    ("GET", f"/v1/{NOBODY}:cancel"): "POST",
    ("HEAD", f"/v1/{NOBODY}:watch"): "GET",
    ("POST", "/v1/products"): "GET, HEAD",
    ("OPTIONS", "/v1/orders"): "GET, HEAD, POST",
}


@pytest.mark.parametrize(("verb", "path"), METHODS)
def test_unsupported_method_is_refused_with_an_allow_header(client: httpx.Client, verb: str, path: str) -> None:
    response = client.request(verb, path)
    assert response.headers["allow"] == METHODS[verb, path]
    assert response.status_code == 405
    if verb != "HEAD":
        error(response, 405)


@pytest.mark.parametrize(
    "path", ["/v2/orders", "/v1", "/v1/", "/v1/orders/a/b", "/v1/customers", "/nothing", "/v1/orders/"]
)
def test_unknown_path_is_not_found(client: httpx.Client, path: str) -> None:
    error(client.get(path), 404)


def test_json_on_a_grpc_path_is_refused(client: httpx.Client) -> None:
    response = client.post("/shop.orders.v1.OrderService/CreateOrder", json={})
    assert fields(error(response, 415)) == ["Content-Type"]


@pytest.mark.parametrize(
    "headers",
    [{"x-large": "a" * 40_000}, {f"x-{number}": "1" for number in range(150)}],
    ids=["too large", "too many"],
)
def test_too_many_or_too_large_headers_are_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    error(client.get("/v1/orders", headers=headers), 431)


@pytest.mark.parametrize(
    "headers",
    [
        {"~s!^": "w"},
        {"!c": "x"},
        {"x-name": "Ñandú".encode()},
        {"user-agent": "tab\there"},
        {"x-key-bin": "not base64!"},
        {"x-key-bin": "AAA="},
        {"grpc-timeout": "soon"},
        {"grpc-timeout": "123456789012S"},
        {"grpc-encoding": "none-such"},
        {"te": "gzip"},
        {"grpc-status": "13"},
        {"grpc-internal-encoding-request": "gzip"},
        {"x-envoy-upstream-rq-timeout-ms": "1"},
    ],
    ids=str,
)
def test_headers_that_break_grpc_servers_eject_nobody(client: httpx.Client, headers: dict[str, Any]) -> None:
    assert client.get("/v1/products", headers=headers).status_code == 200


RAW = {
    b"GET / HTTP/1.0\r\n\r\n": 426,
    b"GET /v1/orders HTTP/1.1\r\n\r\n": 400,
    b"NONSENSE\r\n\r\n": 400,
    b"GET /v1/orders HTTP/1.1\r\nhost: a\r\nunder_score: b\r\n\r\n": 400,
    b"GET /v1/products HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n": 400,
    b"GET /v1/products HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n": 400,
    b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n": 404,
}


@pytest.mark.parametrize("text", RAW)
def test_malformed_http_gets_the_same_error_format(address: str, text: bytes) -> None:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(text)
        answer = connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    error(httpx.Response(int(lines[0].split()[1]), headers=headers, content=body), RAW[text])


def test_refused_requests_have_no_effect(client: httpx.Client) -> None:
    before = client.get("/v1/orders").json()
    for body, _ in BODIES.values():
        client.post("/v1/orders", content=body, headers=JSON)
    assert client.get("/v1/orders").json() == before
