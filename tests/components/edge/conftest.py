"""
The edge under test: the one at the address in EDGE, or one started here.

The tests take only addresses, so they also run against a whole stack.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from shop_client import rest
from tests.components.edge import rig


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Return the folder of the rig's files.
    """
    return tmp_path_factory.mktemp("edge")


@pytest.fixture(scope="session")
def address(folder: Path) -> Iterator[str]:
    """
    Return the edge's HOST:PORT.
    """
    given = os.environ.get("EDGE")
    if given:
        yield given
        return
    command = [sys.executable, "-m", "tests.components.edge.rig", str(folder)]
    with subprocess.Popen(command, cwd=rig.ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert b"ready\n" in iter(process.stdout.readline, b""), "the rig did not start; see above"
            yield rig.EDGE
            # A failing script lets the request pass, so no response would show it.
            failed = [line for line in (folder / "envoy.log").read_text().splitlines() if "script log" in line]
            assert not failed, failed[:3]
        finally:
            process.terminate()


@pytest.fixture
def own_shop(address: str) -> str:
    """
    Return the edge's address, for tests that need the fake shop's failures.
    """
    if address != rig.EDGE:
        pytest.skip("needs the shop of the rig behind the edge")
    return address


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """
    Yield an HTTP/1.1 client of the edge.
    """
    with httpx.Client(base_url=f"http://{address}", timeout=10) as made:
        yield made


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    """
    Yield a gRPC channel to the same port.
    """
    with grpc.insecure_channel(address) as made:
        yield made


@pytest.fixture(scope="session")
def product(address: str) -> str:
    """
    Return the name of an available product.
    """
    return rest.in_stock(httpx.get(f"http://{address}/v1/products").json())[0]


class Buyer:
    """Places orders as web clients do."""

    def __init__(self, client: httpx.Client, product: str) -> None:
        self._client, self._product = client, product

    def basket(self, quantity: int = 1) -> dict[str, Any]:
        """
        Return a basket with one line.
        """
        return rest.basket(self._product, quantity)

    def buy(self, body: Any = None, key: str | None = None, **headers: str) -> httpx.Response:
        """
        POST an order under a new key, or under *key*.
        """
        return rest.place(self._client, body or self.basket(), key or "", **headers)


@pytest.fixture
def buyer(client: httpx.Client, product: str) -> Buyer:
    """
    Return a customer with a basket.
    """
    return Buyer(client, product)
