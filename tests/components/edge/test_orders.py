"""Orders and products over REST."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.components.edge.conftest import Buyer
from tests.components.edge.statuses import clean, error


def test_order_is_created_with_its_location(client: httpx.Client, buyer: Buyer) -> None:
    response = buyer.buy()
    order = response.json()
    assert (response.status_code, order["state"]) in ((201, "CONFIRMED"), (202, "PENDING"))
    assert response.headers["location"] == f"/v1/{order['name']}"
    assert client.get(response.headers["location"]).json()["lines"] == order["lines"]
    clean(response)


def test_order_without_inventory_is_202(own_shop: str, buyer: Buyer) -> None:
    response = buyer.buy({"lines": [{"product": "products/nobody-knows", "quantity": 1}]})
    assert response.status_code == 202
    assert response.json()["state"] == "PENDING"
    assert response.headers["location"].startswith("/v1/orders/")


def test_retry_with_the_same_key_is_the_same_order(buyer: Buyer) -> None:
    key = str(uuid.uuid4())
    first, second = buyer.buy(key=key), buyer.buy(key=key)
    assert second.json()["name"] == first.json()["name"]
    assert second.status_code == first.status_code


@pytest.mark.parametrize("name", ["request_id", "requestId"])
def test_key_may_be_in_the_query(client: httpx.Client, buyer: Buyer, name: str) -> None:
    response = client.post("/v1/orders", json=buyer.basket(), params={name: str(uuid.uuid4())})
    assert response.status_code in (201, 202)


def test_identity_headers_of_clients_are_ignored(buyer: Buyer) -> None:
    order = buyer.buy(**{"x-customer-id": "somebody-else", "x-operator": "true"}).json()
    assert order["customer"] == "customers/"


def test_success_code_headers_of_clients_are_ignored(client: httpx.Client) -> None:
    assert client.get("/v1/products", headers={"x-http-code": "299"}).status_code == 200


def test_unknown_order_is_not_found(client: httpx.Client) -> None:
    assert error(client.get(f"/v1/orders/{uuid.uuid4()}"), 404)["code"] == 5


def test_page_tokens_lead_through_all_pages(client: httpx.Client) -> None:
    first = client.get("/v1/products", params={"pageSize": 3}).json()
    second = client.get("/v1/products", params={"page_size": 3, "page_token": first["nextPageToken"]}).json()
    names = [each["name"] for page in (first, second) for each in page["products"]]
    assert len(set(names)) == 6


def test_zeros_are_in_the_json(client: httpx.Client, product: str) -> None:
    stock = client.get(f"/v1/{product}").json()["stock"]
    assert set(stock) == {"onHand", "available", "held", "sold"}
    assert all(number.isdigit() for number in stock.values())


def test_action_needs_no_body(client: httpx.Client, buyer: Buyer) -> None:
    name = buyer.buy().json()["name"]
    response = client.post(f"/v1/{name}:cancel")
    assert response.status_code == 200
    assert response.json()["state"] == "CANCELLED"


def test_non_ascii_text_is_unchanged(own_shop: str, client: httpx.Client) -> None:
    assert client.get("/v1/products/tea-1").json()["displayName"] == "Té «Ñandú» 茶"


def test_health_is_served(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == 200
