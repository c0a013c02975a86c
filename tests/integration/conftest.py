"""
The running stack that `make test` started, used only through ports and commands.

The stack is the environment's (PORT, NETWORK, STATE), as for every command.
"""

import asyncio
import json
import os
import subprocess
import time
import uuid
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import messages_to_end, topic_ends
from shop_client import rest
from stack import customer
from stack import settings as stack_settings
from stack.topology.addresses import Host, Network, Port
from tests.integration.load import Load
from tests.support.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
# The guaranteed mean time to recovery.
RECOVERY_LIMIT_S = 120
PLENTY = 2000


class Stack:
    """One running stack: its addresses and its commands."""

    def __init__(self, chosen):
        self.settings = chosen
        self.network = Network(chosen.network)

    def make(self, target, *, within_s=170, **variables):
        """Run a target of the Makefile on this stack and return what it printed; fail if it takes longer."""
        environment = {**os.environ, **self.settings.environment(), "MAKEFLAGS": ""}
        words = ["make", "-s", "-C", str(CHECKOUT), target]
        words += [f"{name}={value}" for name, value in variables.items()]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=within_s)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def client(self, name=None, *, operator=False):
        """Yield an HTTP client of the edge: a customer, an operator, or anonymous."""
        headers = {} if name is None else rest.signed(customer.token(self.settings, name, operator=operator))
        return httpx.AsyncClient(base_url=self.settings.edge_url, headers=headers, timeout=15)

    @asynccontextmanager
    async def killed(self, part, load, *, orders):
        """
        Kill *part* under *load*, continue in the block once so many orders were acknowledged without it, then start it
        again.
        """
        try:
            await asyncio.to_thread(self.make, "kill", SVC=part)
            moment = time.monotonic()

            async def orders_flow():
                return load.taken_since(moment)[orders:]

            await eventually(orders_flow, within_s=RECOVERY_LIMIT_S)
            yield
        finally:
            await asyncio.to_thread(self.make, "start", SVC=part)

    async def restock(self, product, quantity):
        """Add units of a product."""
        async with self.client("otto", operator=True) as operator:
            answer = await rest.restock(operator, product, quantity)
        assert answer.status_code == 200, answer.text

    @property
    def brokers(self):
        return str(self.network.at(Host.KAFKA, Port.KAFKA))


@pytest.fixture(scope="session")
def stack():
    return Stack(stack_settings.read(os.environ, checkout=CHECKOUT))


@pytest.fixture(scope="session", autouse=True)
def what_the_edge_logs(stack):
    """After all tests no script of the edge has failed, and its failure log has no successful call."""
    log = stack.settings.state / "log" / "edge-0.log"
    earlier = log.stat().st_size if log.exists() else 0
    yield
    if not log.exists() or log.stat().st_size < earlier:
        return
    with log.open(encoding="utf-8", errors="replace") as text:
        text.seek(earlier)
        lines = text.readlines()
    assert [line for line in lines if "script log:" in line][:3] == []
    calls = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]
    well = [call for call in calls if call.get("flags") == "-" and call["status"] < 300 and _went_well(call)]
    assert well[:3] == []


def _went_well(call):
    return call.get("grpc_status") in (None, "OK", "Unknown") and call["path"].startswith("/v1/")


@pytest.fixture
async def edge(stack):
    """Return a client of the edge for a customer of this test only."""
    async with stack.client(f"test-{uuid.uuid4()}") as client:
        yield client


@pytest.fixture
async def load(stack, edge):
    """Return customers of a product with much stock."""
    product = (await edge.get("/v1/products")).json()["products"][0]["name"]
    await stack.restock(product, PLENTY)
    return Load(edge, product)


class Topic:
    """Everything that is published to a topic from the creation of this object on."""

    def __init__(self, brokers, name):
        self._brokers, self._name = brokers, name
        self._starts = topic_ends(KafkaCluster(brokers), name)

    async def find(self, matches, *, within_s=30):
        """Return the first message whose value *matches*; fail after *within_s*."""

        async def found():
            for message in await asyncio.to_thread(self._read):
                if matches(message.value):
                    return message
            return None

        return await eventually(found, within_s=within_s)

    def _read(self):
        return list(messages_to_end(KafkaCluster(self._brokers), self._name, starts=self._starts))


@pytest.fixture
def topic(stack):
    return lambda name: Topic(stack.brokers, name)
