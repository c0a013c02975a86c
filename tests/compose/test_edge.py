"""What else the edge offers through compose.yaml: HTTPS, and the board's numbers."""

from __future__ import annotations

import ssl

import httpx

from tests.compose.conftest import EDGE_HTTPS, container, docker, token, wait

AUTHORITY = "/certificates/credentials/edge-certificate/current/ca.crt"


def test_the_edge_speaks_https_with_a_certificate_of_the_mesh(client):
    trusted = ssl.create_default_context(cadata=docker("exec", container("edge"), "cat", AUTHORITY))
    with httpx.Client(base_url=EDGE_HTTPS, verify=trusted, http2=True, timeout=15) as secure:
        answer = secure.get("/v1/products")
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")


def test_the_board_knows_every_replica(client):
    operator = token("op", "--operator")

    def replicas_up():
        board = client.get("/ops/api/board", headers=operator).json()
        return {each["pod"] for each in board["pods"] if each.get("proxy_up") == 1}

    known = {"edge-0", "orders-0", "orders-1", "inventory-0", "inventory-1", "pages-0"}
    wait(lambda: replicas_up() == known, seconds=60, what="the board shows every replica")
