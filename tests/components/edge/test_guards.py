"""
Whatever a caller sends takes effect or is refused by name: nothing is ignored, and nothing singular may be duplicated.
"""

from __future__ import annotations

import gzip
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

import grpc
import httpx
import pytest
from shop.orders.v1 import order_service_pb2_grpc

from tests.components.edge.conftest import Buyer
from tests.components.edge.statuses import clean, error, fields
from tests.components.edge.test_grpc import order_request

TEA = {"product": "products/tea-1", "quantity": 1}
ORDERS, BATCH, RESTOCK = "/v1/orders", "/v1/orders:batchCreate", "/v1/products/tea-1:restock"
NOBODY = "/v1/orders/9f4e4d67-0000-5000-8000-000000000000"
CANCEL, FULFIL, RECONCILE, REDRIVE, EXPORT, ERASE = (
    f"{NOBODY}:cancel",
    f"{NOBODY}:fulfil",
    "/v1/orders:reconcile",
    "/v1/deadLetters:redrive",
    "/v1/customers:export",
    "/v1/customers:erase",
)
# Its orders have their own keys, so that a retry is another call.
KEYLESS = (BATCH, RECONCILE, REDRIVE, EXPORT, ERASE)
WRITES = (ORDERS, BATCH, RESTOCK, CANCEL, FULFIL, RECONCILE, REDRIVE, EXPORT, ERASE)
LINE = '{"product":"products/tea-1","quantity":1}'


def post(client: httpx.Client, path: str, body: str | bytes, *more: tuple[str, str]) -> httpx.Response:
    """
    POST a text as JSON under a new key, or under those in *more*, where the request has one.
    """
    headers = [("content-type", "application/json"), *more]
    if path not in KEYLESS and not any(name == "idempotency-key" for name, _ in more):
        headers.append(("idempotency-key", str(uuid.uuid4())))
    return client.post(path, content=body, headers=headers)


UNKNOWN = {
    (ORDERS, '{"lines":[{"product":"products/tea-1","quantity":1,"qty":5}]}'): "order.lines[0].qty",
    (ORDERS, f'{{"lines":[{LINE},{{"product":"products/tea-2","quantity":1,"unitPrice":{{"unit":1}}}}]}}'): (
        "order.lines[1].unit_price.unit"
    ),
    (ORDERS, f'{{"order":{{"lines":[{LINE}]}}}}'): "order.order",
    (ORDERS, f'{{"Lines":[{LINE}]}}'): "order.Lines",
    (ORDERS, f'{{"l\\u0069nes":[{LINE}]}}'): "order.(a name that no field has)",
    (BATCH, f'{{"requests":[{{"requestId":"a","order":{{"lines":[{LINE}],"note":""}}}}]}}'): "requests[0].order.note",
    (BATCH, f'{{"requests":[{{"requestID":"a","order":{{"lines":[{LINE}]}}}}]}}'): "requests[0].requestID",
    (CANCEL, '{"e_tag":"\\"0\\""}'): "e_tag",
    (FULFIL, '{"Etag":"\\"0\\""}'): "Etag",
    (RESTOCK, '{"quantity":1,"amount":5}'): "amount",
    (RECONCILE, '{"dryRun":true}'): "dryRun",
    (RECONCILE, '{"validateonly":true}'): "validateonly",
    (REDRIVE, '{"max":1}'): "max",
    (EXPORT, '{"customer":"ann"}'): "customer",
    (ERASE, '{"name":"customers/ann","validateonly":true}'): "validateonly",
}


@pytest.mark.parametrize(("path", "body"), UNKNOWN)
def test_unknown_field_of_a_body_is_refused_by_name(client: httpx.Client, path: str, body: str) -> None:
    refused = error(post(client, path, body), 400)
    assert fields(refused) == [UNKNOWN[path, body]]


DOUBLED = {
    (ORDERS, f'{{"lines":[{LINE}],"lines":[{LINE}]}}'): "order.lines",
    (ORDERS, '{"lines":[{"product":"products/tea-1","quantity":1,"quantity":2}]}'): "order.lines[0].quantity",
    (ORDERS, f'{{"lines":[{LINE}],"stateReason":"","state_reason":""}}'): "order.state_reason",
    (BATCH, f'{{"requests":[{{"requestId":"a","request_id":"b","order":{{"lines":[{LINE}]}}}}]}}'): (
        "requests[0].request_id"
    ),
    (CANCEL, '{"requestId":"a","request_id":"a"}'): "request_id",
    (CANCEL, '{"etag":"","etag":null}'): "etag",
    (RECONCILE, '{"validateOnly":true,"validate_only":false}'): "validate_only",
    (RESTOCK, '{"quantity":1,"quantity":2}'): "quantity",
    (ERASE, '{"name":"customers/ann","name":"customers/bob"}'): "name",
}


@pytest.mark.parametrize(("path", "body"), DOUBLED)
def test_duplicate_key_in_a_body_is_refused(client: httpx.Client, path: str, body: str) -> None:
    refused = error(post(client, path, body), 400)
    assert fields(refused) == [DOUBLED[path, body]]
    assert "more than once" in refused["message"]


@pytest.mark.parametrize("path", [CANCEL, RESTOCK])
def test_name_in_the_body_that_differs_from_the_path_is_refused(client: httpx.Client, path: str) -> None:
    refused = error(post(client, path, '{"name":"orders/of the field x is conflicting"}'), 400)
    assert fields(refused) == ["name"]
    assert "path" in refused["message"]


NOT_JSON = {
    "single quotes": "{'lines':[]}",
    "a bare name": "{lines:[]}",
    "a comma at the end of an object": f'{{"lines":[{LINE}],}}',
    "a comma at the end of a list": f'{{"lines":[{LINE},]}}',
    "an element that is null": f'{{"lines":[{LINE},null]}}',
    "an object for a list": f'{{"lines":{LINE}}}',
    "a list for an object": "[]",
    "a text for an object": '{"lines":["tea"]}',
    "a number with a zero before it": '{"lines":[{"product":"products/tea-1","quantity":01}]}',
    "a number without digits": '{"lines":[{"product":"products/tea-1","quantity":1.}]}',
    "not a number": '{"lines":[{"product":"products/tea-1","quantity":NaN}]}',
    "true for a number": '{"lines":[{"product":"products/tea-1","quantity":true}]}',
    "true for a text": '{"lines":[{"product":true,"quantity":1}]}',
    "something after the end": f'{{"lines":[{LINE}]}}{{}}',
    "a comment": f'{{"lines":[{LINE}]/**/}}',
    "a control character in a text": '{"lines":[{"product":"products/\ntea-1","quantity":1}]}',
    "an unknown escape": '{"lines":[{"product":"\\x41","quantity":1}]}',
    "white space only": "   ",
    "half of it": f'{{"lines":[{LINE}',
}


@pytest.mark.parametrize("case", NOT_JSON)
def test_body_that_does_not_match_the_contract_is_refused(client: httpx.Client, case: str) -> None:
    assert error(post(client, ORDERS, NOT_JSON[case]), 400)["details"][1]["fieldViolations"]


def test_every_protobuf_json_form_is_accepted(client: httpx.Client) -> None:
    body = (
        '\t{ "lines" : [ {"product":"products\\/tea-1", "quantity":"1", "unit_price":null } ] ,\r\n'
        '"create_time":"2026-01-01T00:00:00Z","state":"PENDING","version":"7",'
        '"total":{"units":5,"currencyCode":"EUR"}} '
    )
    assert post(client, ORDERS, body).status_code == 201


ENCODED = {
    "gzip": (gzip.compress(f'{{"lines":[{LINE}]}}'.encode()), ()),
    "gzip that says so": (gzip.compress(b"{}"), (("content-encoding", "gzip"),)),
    "deflate by name": (b"{}", (("content-encoding", "deflate"),)),
    **{name: (f'{{"lines":[{LINE}]}}'.encode(name), ()) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")},
}


@pytest.mark.parametrize("case", ENCODED)
def test_encoded_body_is_an_unsupported_media_type(client: httpx.Client, case: str) -> None:
    body, more = ENCODED[case]
    refused = error(post(client, ORDERS, body, *more), 415)
    assert refused["message"].isascii()
    assert refused["message"].isprintable()


@pytest.mark.parametrize("wrong", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\\ud800"])
def test_invalid_utf8_is_refused_without_quoting_the_body(client: httpx.Client, wrong: bytes) -> None:
    body = b'{"lines":[{"product":"products/hunter-' + wrong + b'","quantity":1}]}'
    refused = error(post(client, ORDERS, body), 400)
    assert fields(refused) == ["body"]
    assert "hunter" not in json.dumps(refused)
    assert refused["message"].isascii()
    assert refused["message"].isprintable()


def test_body_is_refused_where_none_is_expected(client: httpx.Client) -> None:
    refused = error(client.request("GET", ORDERS, content="{}", headers={"content-type": "application/json"}), 400)
    assert fields(refused) == ["body"]


HEAVY = {
    "lines": '{"lines":[' + ",".join([LINE] * 24_000) + "]}",
    "empty objects": '{"lines":[' + ",".join(["{}"] * 340_000) + "]}",
    "escapes": '{"stateReason":"' + "\\n" * 500_000 + '"}',
    "white space": "{" + " " * 1_000_000 + "}",
    "a number": '{"version":' + "1" * 1_000_000 + "}",
    "a name": '{"' + "x" * 1_000_000 + '":1}',
    "brackets": '{"lines":' + "[" * 1_000_000,
}


@pytest.mark.parametrize("case", HEAVY)
def test_body_expensive_to_check_is_refused_quickly(client: httpx.Client, case: str) -> None:
    """The check is bounded; the time limit is generous, for a busy machine."""
    began = time.monotonic()
    refused = error(post(client, ORDERS, HEAVY[case]), 400)
    assert time.monotonic() - began < 5
    assert case != "empty objects" or "100000 values" in refused["message"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("pageSize=1&page_size=2", "page_size"),
        ("pageSize=1&pageSize=1", "page_size"),
        ("state=PENDING&state=CONFIRMED", "state"),
        ("fields=orders.name&fields=orders.state", "fields"),
    ],
)
def test_duplicate_query_parameter_is_refused(client: httpx.Client, query: str, name: str) -> None:
    assert fields(error(client.get(f"{ORDERS}?{query}"), 400)) == [name]


def test_request_id_in_both_spellings_is_refused(client: httpx.Client, buyer: Buyer) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post(f"{ORDERS}?requestId=a&request_id=b", json=buyer.basket(), headers=headers)
    assert fields(error(answer, 400)) == ["request_id"]


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    "values",
    [("clé-1",), ("a b",), ("",), ("x" * 129,), ("a", "b"), ("a", "a")],
    ids=["not ASCII", "a space", "empty", "too long", "twice", "twice the same"],
)
def test_invalid_key_is_refused_by_name(client: httpx.Client, path: str, values: Sequence[str]) -> None:
    headers = [(b"idempotency-key", value.encode()) for value in values]
    answer = client.post(path, content="{}", headers=[(b"content-type", b"application/json"), *headers])
    assert fields(error(answer, 400)) == ["Idempotency-Key"]


def test_invalid_key_is_refused_even_where_it_is_optional(client: httpx.Client) -> None:
    answer = client.get(ORDERS, headers=[(b"idempotency-key", "clé".encode())])
    assert fields(error(answer, 400)) == ["Idempotency-Key"]


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_method_in_a_header_is_refused(client: httpx.Client, verb: str, name: str) -> None:
    assert fields(error(client.request(verb, ORDERS, headers={name: "DELETE"}), 400)) == [name]


@pytest.mark.parametrize("value", ["7-100", "'1'", '"1', ""])
def test_if_none_match_is_refused_where_responses_have_no_etag(client: httpx.Client, value: str) -> None:
    answer = client.get("/v1/products/tea-1", headers={"if-none-match": value})
    assert fields(error(answer, 400)) == ["If-None-Match"]


@pytest.mark.parametrize("tags", [('"x"', '"7-100"'), ('"x",W/"7-100" ,"y"',), ("*",)])
def test_any_of_several_etags_matches(client: httpx.Client, tags: Sequence[str]) -> None:
    answer = client.get("/v1/products/tea-1", headers=[("if-none-match", each) for each in tags])
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("tokens", [("Bearer a", "Bearer b"), ("Bearer a", "Bearer a"), ("Basic a", "Bearer a")])
def test_duplicate_authorization_is_refused(client: httpx.Client, verb: str, tokens: Sequence[str]) -> None:
    answer = client.request(verb, ORDERS, headers=[("authorization", each) for each in tokens])
    assert fields(error(answer, 400)) == ["Authorization"]


def test_invalid_last_event_id_is_refused(client: httpx.Client) -> None:
    assert fields(error(client.get(f"{NOBODY}:watch", headers={"last-event-id": "x"}), 400)) == ["Last-Event-ID"]


@pytest.mark.parametrize("path", KEYLESS)
def test_key_on_a_method_without_idempotency_is_refused(client: httpx.Client, path: str) -> None:
    assert fields(error(post(client, path, "{}", ("idempotency-key", "k-1")), 400)) == ["Idempotency-Key"]


@pytest.mark.parametrize("path", [ORDERS, NOBODY, f"{NOBODY}:watch", "/v1/products"])
def test_unsupported_condition_on_a_read_is_refused(client: httpx.Client, path: str) -> None:
    assert fields(error(client.get(path, headers={"if-match": '"1"'}), 400)) == ["If-Match"]


def test_key_on_a_read_is_ignored(client: httpx.Client) -> None:
    assert client.get(ORDERS, headers={"idempotency-key": "k-1"}).status_code == 200


@pytest.mark.parametrize("path", [ORDERS, BATCH, RESTOCK, RECONCILE, REDRIVE])
def test_if_match_on_a_method_without_etag_fails(client: httpx.Client, path: str) -> None:
    assert fields(error(post(client, path, "{}", ("if-match", '"1"')), 400)) == ["If-Match"]


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("name", ["If-None-Match", "If-Unmodified-Since"])
def test_unsupported_condition_on_a_write_fails(client: httpx.Client, path: str, name: str) -> None:
    assert fields(error(post(client, path, "{}", (name.lower(), "*")), 400)) == [name]


@pytest.mark.parametrize("value", ["1", '"1", "2"', '"1', "W/1", '"' + "x" * 100 + '"'])
def test_invalid_etag_is_refused(client: httpx.Client, value: str) -> None:
    assert fields(error(post(client, CANCEL, "{}", ("if-match", value)), 400)) == ["If-Match"]


def test_if_match_is_passed_as_the_etag(client: httpx.Client, buyer: Buyer) -> None:
    order = buyer.buy().json()
    cancel = f"/v1/{order['name']}:cancel"
    stale = error(post(client, cancel, "{}", ("if-match", '"0"')), 412)
    assert stale["details"][0]["reason"] == "ORDER_CHANGED"
    error(post(client, cancel, '{"etag":"\\"0\\""}'), 409)
    assert fields(error(post(client, cancel, '{"etag":"\\"0\\""}', ("if-match", '"1"')), 400)) == ["etag"]
    assert client.get(f"/v1/{order['name']}").json()["state"] == "CONFIRMED"
    etag = client.get(f"/v1/{order['name']}").headers["etag"]
    assert post(client, cancel, "{}", ("if-match", etag)).json()["state"] == "CANCELLED"


@pytest.mark.parametrize("value", ["a", "b"])
def test_duplicate_metadata_is_refused_for_grpc(channel: grpc.Channel, value: str) -> None:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    metadata = [("idempotency-key", "a"), ("idempotency-key", value)]
    with pytest.raises(grpc.RpcError) as caught:
        stub.CreateOrder(order_request("products/tea-1", key="a"), metadata=metadata)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_no_refused_request_placed_an_order(client: httpx.Client) -> None:
    before = client.get(ORDERS).json()
    bodies = [*(body for path, body in (*UNKNOWN, *DOUBLED) if path == ORDERS), *NOT_JSON.values()]
    for body in bodies:
        post(client, ORDERS, body)
    assert client.get(ORDERS).json() == before


ORIGIN = "https://shop.example.com"
LOCAL_ANSWERS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "no such path": (404, "GET", "/v1/nothing", {}),
    "no such method": (405, "DELETE", ORDERS, {}),
    "no key": (400, "POST", ORDERS, {"json": {"lines": [TEA]}}),
    "not JSON": (400, "POST", CANCEL, {"content": "{", "headers": {"content-type": "application/json"}}),
    "another type": (415, "POST", ORDERS, {"content": "x", "headers": {"content-type": "text/plain"}}),
    "too large": (413, "POST", CANCEL, {"json": {"requestId": "x" * 1_100_000}}),
    "a bad token": (401, "GET", ORDERS, {"headers": {"authorization": "Bearer x"}}),
    "a service that is not there": (503, "POST", FULFIL, {"json": {}}),
    "a method in a header": (400, "GET", ORDERS, {"headers": {"x-http-method-override": "DELETE"}}),
    "a path that is too long": (414, "GET", "/v1/" + "x" * 2000, {}),
    "what a service refuses": (404, "GET", NOBODY, {}),
}


@pytest.mark.parametrize("case", LOCAL_ANSWERS)
@pytest.mark.parametrize("origin", [ORIGIN, "https://elsewhere.example.com", None])
def test_every_response_has_cors_headers_for_an_allowed_origin(
    client: httpx.Client, case: str, origin: str | None
) -> None:
    status, verb, path, given = LOCAL_ANSWERS[case]
    headers = given.get("headers", {}) | ({"origin": origin} if origin else {})
    answer = client.request(verb, path, **{**given, "headers": headers})
    error(answer, status)
    assert answer.headers.get("access-control-allow-origin") == (ORIGIN if origin == ORIGIN else None)
    assert "origin" in answer.headers["vary"].lower()
    clean(answer)


def test_preflight_is_answered_before_any_other_check(client: httpx.Client) -> None:
    headers = {"origin": ORIGIN, "access-control-request-method": "POST"}
    answer = client.options(ORDERS, headers=headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "origin" in answer.headers["vary"].lower()


def test_rate_limit_response_has_cors_headers(client: httpx.Client) -> None:
    answers = [client.get("/v1/limited", headers={"origin": ORIGIN}) for _ in range(2)]
    assert answers[1].status_code == 429
    for each in answers:
        assert each.headers["access-control-allow-origin"] == ORIGIN
        assert "origin" in each.headers["vary"].lower()


def test_preflight_of_another_origin_is_refused_in_the_usual_error_format(client: httpx.Client) -> None:
    headers = {"origin": "https://elsewhere.example.com", "access-control-request-method": "POST"}
    answer = client.options(ORDERS, headers=headers)
    error(answer, 405)
    assert "access-control-allow-origin" not in answer.headers


def test_order_of_json_members_does_not_matter(client: httpx.Client) -> None:
    key = ("idempotency-key", str(uuid.uuid4()))
    names = {
        post(client, ORDERS, json.dumps({"lines": [dict(reversed(TEA.items()))]}), key).json()["name"],
        post(client, ORDERS, json.dumps({"lines": [TEA]}), key).json()["name"],
    }
    assert len(names) == 1
