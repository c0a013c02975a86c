"""The running stack of the integration tests, with partitions between its parts."""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from chaos.lab.expect import LogMark
from chaos.partition.filter import NotAllowed, program
from tests.integration import conftest as running

# The same stack, and the same customers.
stack, edge, load, topic = running.stack, running.edge, running.load, running.topic


@pytest.fixture
def logged(stack):
    """Yield a function that returns what a service logged since."""
    return LogMark.now(stack.settings.log).lines


@pytest.fixture
def cut(stack):
    """Cut two parts off from each other while a block runs, with the stack's command."""
    try:
        program()
    except NotAllowed as refused:
        pytest.skip(str(refused))
    command = [sys.executable, str(running.CHECKOUT / "chaos" / "network-partition.py")]
    environment = {**os.environ, **stack.settings.environment()}

    @asynccontextmanager
    async def between(one, other, *further):
        words = [*command, "--between", one, "--and", other, "--for", "60s", *further]
        held = await asyncio.create_subprocess_exec(*words, env=environment, stdout=subprocess.PIPE)
        try:
            line = await asyncio.wait_for(held.stdout.readline(), 20)
            assert b"in force" in line
            yield
        finally:
            held.terminate()
            assert await asyncio.wait_for(held.wait(), 20) == 0

    return between
