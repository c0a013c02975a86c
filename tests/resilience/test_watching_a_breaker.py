"""The commands of docs/sre.md that show a breaker, as a reader types them."""

import asyncio
import os
import re

import pytest

from stack.settings import CHECKOUT

PAGE = CHECKOUT / "docs" / "sre.md"
SECTION = re.compile(r"^## Watch a breaker\n.*?^```sh\n(.*?)^```\n", re.DOTALL | re.MULTILINE)


def commands(port):
    found = SECTION.search(PAGE.read_text())
    assert found, "the section has no commands"
    return found[1].replace("127.0.0.1:8080", f"127.0.0.1:{port}")


@pytest.fixture
def sidecars(stack):
    """Start inventory's sidecars again, wherever the commands ended."""
    yield
    for name in ("inventory-0-envoy", "inventory-1-envoy"):
        stack.make("start", SVC=name)


async def test_the_commands_show_hosts_that_are_ejected_a_breaker_that_opens_and_that_it_closes(stack, edge, sidecars):
    reader = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        commands(stack.settings.port),
        cwd=CHECKOUT,
        env={**os.environ, **stack.settings.environment()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await asyncio.wait_for(reader.communicate(), 170))[0].decode()
    before, after = output.split("inventory-1-envoy", 1)
    assert re.search(r"^orders-\d +inventory\S+ +\S+ +ejected ", before, re.MULTILINE), output
    assert re.search(r"^orders-\d +inventory\S+ +\S+ +OPEN: no healthy host ", after, re.MULTILINE), output
    assert "BREAKER open" in after, output
    assert "BREAKER closed" in after, output
