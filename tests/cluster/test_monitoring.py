"""The board's numbers from a Prometheus that discovers the pods."""

from __future__ import annotations

import httpx
import pytest

from k8s import edge as deployed
from k8s.kubectl import exists
from tests.cluster import pods
from tests.cluster.load import Load

# A pod's start, a scrape, and the window of a rate.
COMPLETE_S = 180


@pytest.fixture
def operator() -> dict[str, str]:
    """Return the header of an operator of the development issuer."""
    if not exists("statefulset", "prometheus") or not exists("statefulset", "issuer"):
        pytest.skip("the overlay brings no Prometheus or no development issuer")
    return {"authorization": f"Bearer {deployed.issued('test-operator', '--operator')}"}


async def test_the_board_shows_every_pod_and_its_calls(shop, products, operator):
    async with Load(shop, products, rate=5):
        await pods.until(lambda: complete(shop, operator), within_s=COMPLETE_S, what="the board is complete")


def complete(shop, operator):
    """Return whether the board shows every running pod, and the calls between them."""
    answer = httpx.get(f"{shop.edge}/ops/api/board", headers=operator, timeout=15)
    if answer.status_code != 200:
        # It asks Prometheus, which may need longer than the edge waits while pods start on a busy node.
        return False
    seen = answer.json()
    running = {each for app in ("orders", "inventory", "pages", "edge") for each in pods.of(app)}
    up = {each["pod"] for each in seen["pods"] if each.get("proxy_up") == 1}
    called = {(each["from"], each["to"]) for each in seen["calls"] if each.get("rate", 0) > 0}
    return up == running and {("edge", "orders"), ("orders", "inventory")} <= called and seen["problems"] == {}


def test_prometheus_scrapes_every_member_of_postgresql(operator):
    [pod] = pods.of("prometheus")
    samples = pods.ask(pod, "http://127.0.0.1:9090/api/v1/query?query=patroni_primary", container="targets")
    assert all(f'"pod":"{member}"' in samples for member in pods.of("postgres"))
