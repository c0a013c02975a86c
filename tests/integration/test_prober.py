"""The order from outside on a running stack: what the prober sees, and what is left of its orders."""

import asyncio
import dataclasses
import sys
import uuid

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.describe import describe
from stack.topology import prober
from tests.integration.test_monitoring import ONLY_AFTER_A_FAULT
from tests.support.processes import Process, free_port
from tests.support.waiting import eventually

EVERY_S = 1
NOTICED_S = 60


class Prober:
    """A prober of this test only, beside the stack."""

    def __init__(self, stack, folder):
        self.customer = f"test-prober-{uuid.uuid4()}"
        [described] = prober.processes(describe(dataclasses.replace(stack.settings, probe=True)))
        self._metrics = f"127.0.0.1:{free_port('127.0.0.1')}"
        further = {
            "METRICS_LISTEN": self._metrics,
            "CLIENT_ID": self.customer,
            "PROBE_INTERVAL_S": str(EVERY_S),
        }
        command = [sys.executable, *described.command[1:]]
        self.process = Process(command, folder / "prober.log", **(described.environment | further))

    async def samples(self):
        """Return its metrics by name, or by name and the value of the first label."""
        try:
            async with httpx.AsyncClient() as client:
                text = (await client.get(f"http://{self._metrics}/metrics")).text
        except httpx.TransportError:
            return {}
        return {
            (each.name, next(iter(each.labels.values()), "")): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
        }


@pytest.fixture
async def probing(stack, tmp_path):
    made = Prober(stack, tmp_path)
    made.process.start()
    yield made
    made.process.stop()


async def test_an_outage_is_seen_from_outside_and_no_order_is_left_of_it(stack, probing):
    shop = stack.settings.edge_url

    async def sees(value, *, orders=0):
        async def found():
            samples = await probing.samples()
            enough = samples.get(("probe_orders_total", "ok"), 0) >= orders
            return enough and samples.get(("probe_success", shop)) == value and samples

        return await eventually(found, within_s=NOTICED_S)

    samples = await sees(1, orders=2)
    assert samples["probe_orders_placed_total", "CONFIRMED"] >= 2
    names = {name for name, _ in samples}
    assert {each.partition("{")[0] for each in ONLY_AFTER_A_FAULT if each.startswith("probe_")} <= names
    # An outage of inventory is none for who orders.
    await asyncio.to_thread(stack.make, "kill", SVC="inventory")
    try:
        await asyncio.sleep(3 * EVERY_S)
        samples = await sees(1, orders=samples["probe_orders_total", "ok"] + 2)
        assert samples["probe_orders_placed_total", "PENDING"] >= 1
        assert samples["probe_orders_total", "failed"] == 0
    finally:
        await asyncio.to_thread(stack.make, "start", SVC="inventory")
    await asyncio.to_thread(stack.make, "kill", SVC="edge")
    try:
        samples = await sees(0)
        assert samples["probe_orders_total", "failed"] >= 1
    finally:
        await asyncio.to_thread(stack.make, "start", SVC="edge")
    await sees(1)
    probing.process.stop()
    async with stack.client(probing.customer) as client:
        listed = [
            (await client.get(f"/v1/orders?state={state}&page_size=500")).json().get("orders", [])
            for state in ("CANCELLED", "PENDING", "CONFIRMED")
        ]
    cancelled, *left = map(len, listed)
    assert cancelled >= 6
    # Ended in the middle of a round it may leave one, which its next start cancels.
    assert sum(left) <= 1
