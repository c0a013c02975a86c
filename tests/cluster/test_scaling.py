"""Kubernetes adds replicas under load and removes them after it."""

from __future__ import annotations

import time

import pytest

from k8s.kubectl import get
from tests.cluster import pods
from tests.cluster.load import Load

RATE = 60
pytestmark = pytest.mark.timeout(600)


def replicas() -> dict[str, int]:
    return {each["metadata"]["name"]: each["spec"].get("replicas", 0) for each in get("deployments")}


async def test_replicas_follow_the_load(shop, products, facts):
    await pods.until(lambda: replicas()["orders"] == 2, within_s=240, what="orders is at its least")
    generation = pods.stock_generation()
    began = time.monotonic()
    async with Load(shop, products, rate=RATE) as load:
        up_s = await pods.until(lambda: replicas()["orders"] > 2, within_s=180, what="orders gets more replicas")
        most = replicas()["orders"]
    down_s = await pods.until(lambda: replicas()["orders"] == 2, within_s=300, what="orders is at its least again")
    acknowledged = sum(each.acknowledged for each in load.attempts)
    per_second = acknowledged / (time.monotonic() - began - down_s)
    facts.append(
        f"HPA: orders 2 -> {most} replicas {up_s:.0f} s into a load of {per_second:.0f} "
        f"orders/s, back at 2 {down_s:.0f} s after it"
    )
    assert {each.status for each in load.attempts} == {201}, "a pod that came or went cost an order its answer"
    assert pods.stock_generation() == generation, "a pod that came or went began a new stock"
