"""The running stack of the integration tests, and its parts to be cut off from each other."""

import asyncio
import os
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager

import pytest

from chaos.lab.expect import LogMark
from chaos.partition.filter import NotAllowed, program
from stack import settings as stack_settings
from tests.integration.conftest import CHECKOUT, PLENTY, Stack, Topic
from tests.integration.load import Load


@pytest.fixture(scope="session")
def stack():
    return Stack(stack_settings.read(os.environ, checkout=CHECKOUT))


@pytest.fixture
async def edge(stack):
    """The edge, called by a customer of this test alone."""
    async with stack.client(f"test-{uuid.uuid4()}") as client:
        yield client


@pytest.fixture
async def load(stack, edge):
    """Customers of a product of which there is plenty."""
    product = (await edge.get("/v1/products")).json()["products"][0]["name"]
    await stack.restock(product, PLENTY)
    return Load(edge, product)


@pytest.fixture
def topic(stack):
    return lambda name: Topic(stack.brokers, name)


@pytest.fixture
def logged(stack):
    """What a service logs from here on."""
    return LogMark.now(stack.settings.log).lines


@pytest.fixture
def cut(stack):
    """Cuts two parts off from each other while a block runs, by the command that people have."""
    try:
        program()
    except NotAllowed as refused:
        pytest.skip(str(refused))
    command = [sys.executable, str(CHECKOUT / "chaos" / "network-partition.py")]
    environment = {**os.environ, **stack.settings.environment()}

    @asynccontextmanager
    async def between(one, other, *further):
        words = [*command, "--between", one, "--and", other, "--for", "60s", *further]
        held = await asyncio.create_subprocess_exec(*words, env=environment, stdout=subprocess.PIPE)
        try:
            said = await asyncio.wait_for(held.stdout.readline(), 20)
            assert b"in force" in said
            yield
        finally:
            held.terminate()
            assert await asyncio.wait_for(held.wait(), 20) == 0

    return between
