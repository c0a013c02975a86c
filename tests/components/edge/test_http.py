"""The HTTP features that browsers and caches need."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.components.edge.conftest import Buyer
from tests.components.edge.statuses import clean

ORIGIN = os.environ.get("EDGE_ORIGIN", "https://shop.example.com")


def test_unchanged_resource_is_304(client: httpx.Client, product: str) -> None:
    first = client.get(f"/v1/{product}")
    strong = json.dumps(first.json()["etag"].strip('"'))
    assert first.headers["etag"] == f"W/{strong}"
    for wanted in (strong, first.headers["etag"], f'"x", {strong}', "*"):
        again = client.get(f"/v1/{product}", headers={"if-none-match": wanted})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_head_is_get_without_the_body(address: str, product: str, http2: bool) -> None:
    with httpx.Client(base_url=f"http://{address}", http1=not http2, http2=http2) as client:
        for path in ("/v1/products", f"/v1/{product}", f"/v1/{product}?fields=name", "/v1/products/none", "/v1/none"):
            whole = client.get(path, headers={"accept-encoding": "identity"})
            # Where a response would be compressed, its body is not empty.
            head = client.head(path, headers={"accept-encoding": "gzip"})
            assert (head.status_code, head.content) == (whole.status_code, b"")
            assert head.headers["content-type"] == whole.headers["content-type"]
            assert head.headers.get("etag") == whole.headers.get("etag")


def test_changed_order_is_200_with_a_new_etag(client: httpx.Client, buyer: Buyer) -> None:
    name = buyer.buy().json()["name"]
    before = client.get(f"/v1/{name}").headers["etag"]
    client.post(f"/v1/{name}:cancel")
    after = client.get(f"/v1/{name}", headers={"if-none-match": before})
    assert after.status_code == 200
    assert after.headers["etag"] != before


def test_large_responses_are_compressed(client: httpx.Client) -> None:
    response = client.get("/v1/products", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in response.headers["vary"].lower()
    assert response.json()["products"]


def test_page_of_500_products_arrives_complete(own_shop: str, client: httpx.Client) -> None:
    assert len(client.get("/v1/products", params={"page_size": 500}).json()["products"]) == 500


def test_field_mask_limits_the_response(client: httpx.Client, product: str) -> None:
    whole = client.get(f"/v1/{product}").json()
    wanted = {"fields": "name,stock.available,unit_price.currency_code"}
    part = client.get(f"/v1/{product}", params=wanted)
    assert part.json() == {
        "name": whole["name"],
        "unitPrice": {"currencyCode": whole["unitPrice"]["currencyCode"]},
        "stock": {"available": whole["stock"]["available"]},
    }
    assert whole["etag"].strip('"') in part.headers["etag"]


def test_field_mask_applies_to_every_element_of_a_page(client: httpx.Client) -> None:
    page = client.get("/v1/products", params={"pageSize": 3, "fields": "products.name , products.stock"}).json()
    assert set(page) == {"products"}
    assert [set(each) for each in page["products"]] == [{"name", "stock"}] * 3


def test_field_mask_applies_to_a_created_order(buyer: Buyer, client: httpx.Client) -> None:
    headers = {"idempotency-key": str(uuid.uuid4())}
    response = client.post("/v1/orders", params={"fields": "lines.quantity"}, json=buyer.basket(7), headers=headers)
    assert response.status_code in (201, 202)
    assert response.json() == {"lines": [{"quantity": 7}]}


def test_text_that_looks_like_json_is_unchanged(own_shop: str, client: httpx.Client) -> None:
    whole = client.get("/v1/products/tea-quotes").json()
    assert client.get("/v1/products/tea-quotes?fields=displayName,etag").json() == {
        "displayName": whole["displayName"],
        "etag": whole["etag"],
    }


def test_configured_origin_may_read_and_send(client: httpx.Client) -> None:
    headers = {"origin": ORIGIN, "access-control-request-method": "POST"}
    allowed = client.options("/v1/orders", headers=headers)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "idempotency-key" in allowed.headers["access-control-allow-headers"]
    read = client.get("/v1/products", headers={"origin": ORIGIN})
    assert read.headers["access-control-allow-origin"] == ORIGIN
    assert "etag" in read.headers["access-control-expose-headers"]
    assert "origin" in read.headers["vary"].lower()


def test_other_origins_may_not(client: httpx.Client) -> None:
    read = client.get("/v1/products", headers={"origin": "https://elsewhere.example.com"})
    assert "access-control-allow-origin" not in read.headers


def test_response_has_request_id_and_trace(client: httpx.Client) -> None:
    response = client.get("/v1/products")
    request_id = response.headers["x-request-id"]
    assert uuid.UUID(request_id)
    assert response.headers["traceparent"].split("-")[1] == request_id.replace("-", "")


def test_clients_trace_context_is_kept(client: httpx.Client) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = client.get("/v1/products", headers={"traceparent": parent})
    assert response.headers["traceparent"].split("-")[1] == parent.split("-")[1]


@pytest.mark.parametrize("wrong", ["x", "00-0-0-00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; drop"])
def test_invalid_trace_context_is_replaced(client: httpx.Client, wrong: str) -> None:
    response = client.get("/v1/products", headers={"traceparent": wrong})
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", response.headers["traceparent"])


def test_http_2_is_served_on_the_same_port(address: str, product: str) -> None:
    with httpx.Client(http1=False, http2=True) as client:
        response = client.get(f"http://{address}/v1/{product}")
    assert response.http_version == "HTTP/2"
    clean(response)


def test_watched_order_arrives_as_events_with_ids(client: httpx.Client, buyer: Buyer) -> None:
    order = buyer.buy().json()
    with client.stream("GET", f"/v1/{order['name']}:watch") as response:
        assert response.headers["content-type"] == "text/event-stream"
        event = next(_events(response))
    assert event["event"] == "order"
    assert int(event["id"]) >= int(order["version"])
    assert order["name"] in event["data"]


def test_watcher_resumes_after_its_last_event(own_shop: str, client: httpx.Client, buyer: Buyer) -> None:
    name = buyer.buy().json()["name"]
    with client.stream("GET", f"/v1/{name}:watch?from_version=0", headers={"last-event-id": "1"}) as response:
        events = [event["event"] for event in _events(response)]
    assert events == ["heartbeat", "end"]


def _events(response: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            key, _, value = line.partition(": ")
            event[key] = value
        else:
            yield event
            event = {}
