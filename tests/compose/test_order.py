"""An order's way through compose.yaml, and what is left of it when inventory is killed."""

from __future__ import annotations

import uuid

from shop_client import rest
from tests.compose.conftest import container, docker, in_stock, topic, wait

INVENTORY = ("inventory-0", "inventory-1")


def place(client, product, key=None):
    return rest.place(client, rest.basket(product, 2), key or "")


def available(client, product):
    return int(client.get(f"/v1/{product}").json()["stock"]["available"])


def test_an_order_is_confirmed(client):
    placed = place(client, in_stock(client))
    assert placed.status_code == 201, placed.text
    assert placed.json()["state"] == "CONFIRMED"


def test_an_order_without_inventory_waits_in_kafka_and_is_confirmed_later(client):
    product, key = in_stock(client), str(uuid.uuid4())
    before = available(client, product)
    docker("kill", *map(container, INVENTORY))
    try:
        first, again = place(client, product, key), place(client, product, key)
        assert (first.status_code, first.json()["state"]) == (202, "PENDING"), first.text
        assert again.json()["name"] == first.json()["name"]
        assert first.json()["name"].removeprefix("orders/") in topic("pending_orders")
    finally:
        docker("start", *map(container, INVENTORY))
    name = first.json()["name"]
    wait(lambda: client.get(f"/v1/{name}").json()["state"] == "CONFIRMED", seconds=120, what=f"{name} is confirmed")
    assert available(client, product) == before - 2


PLAIN_TEXT = """
exec 3<>/dev/tcp/172.30.16.10/50051
printf 'GET / HTTP/1.1\\r\\nhost: orders\\r\\n\\r\\n' >&3
timeout 5 cat <&3 || true
"""


def test_the_sidecars_take_no_plain_text(client):
    without_sidecar = ("--network", "container:" + container("edge"), "--entrypoint", "bash")
    output = docker("run", "--rm", *without_sidecar, "localhost/shop/envoy:compose", "-c", PLAIN_TEXT)
    assert "HTTP/1.1" not in output
