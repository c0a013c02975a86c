"""The running stack of the integration tests, and a checkout of an earlier version beside it."""

import asyncio
import contextlib
import os
import signal
import subprocess
from functools import partial

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.commits import files_of
from stack.topology.addresses import Host, Port
from tests.integration import conftest as running
from tests.support.processes import CHECKOUT
from tests.support.waiting import passes

# The same stack, and the same customers.
stack, edge, load = running.stack, running.edge, running.load
INSTALL_S = 600
START_S = 60
STOP_S = 60


def earlier():
    """Return BASE, or else the newest tag, or else the commit twenty before this one."""
    if base := os.environ.get("BASE"):
        return base
    tagged = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return tagged.stdout.strip() or "HEAD~20"


@pytest.fixture(scope="session")
def base(stack):
    """Check the earlier version out beside the stack's state, with its own stubs and environment."""
    with files_of(earlier(), stack.settings.state.parent / "earlier-version") as folder:
        environment = {**os.environ, "TOOLS": str(stack.settings.tools), "MAKEFLAGS": ""}
        subprocess.run(["make", "-s", "protos"], cwd=folder, env=environment, check=True, timeout=INSTALL_S)
        yield folder


@pytest.fixture
def at_base(stack, base):
    """Run *parts*, replicas of services, from *base* in place of the supervised ones while the block runs."""

    @contextlib.asynccontextmanager
    async def run(*parts):
        async with contextlib.AsyncExitStack() as entered:
            # One after the other, as a rolling update does.
            for part in parts:
                await entered.enter_async_context(one_at_base(stack, base, part))
            yield

    return run


@contextlib.asynccontextmanager
async def one_at_base(stack, base, part):
    running_here = begun(stack, base, part)
    try:
        await passes(partial(serving, stack, part, running_here.pid, here=True), START_S)
        yield
    finally:
        os.killpg(running_here.pid, signal.SIGINT)
        await asyncio.to_thread(running_here.wait, STOP_S)
        await passes(partial(serving, stack, part, running_here.pid, here=False), START_S)


def begun(stack, base, part):
    """Start `make run` in a session of its own, so that it can be told from the supervised replica."""
    environment = {**os.environ, **stack.settings.environment(), "MAKEFLAGS": ""}
    with (stack.settings.state / "log" / f"{part}-earlier.log").open("ab") as log:
        return subprocess.Popen(
            ["make", "-s", "run", f"SVC={part}"],
            cwd=base,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def serving(stack, part, session, *, here):
    """Check that *part* serves, and whether the process that does belongs to *session*."""
    service, _, number = part.rpartition("-")
    endpoint = stack.network.at(Host[service.upper()], Port.APPLICATION, int(number))
    async with grpc.aio.insecure_channel(str(endpoint), [("grpc.enable_http_proxy", 0)]) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    servers = {each.pid for each in psutil.net_connections("tcp") if is_at(each, endpoint)}
    assert [psutil.pid_exists(each) and os.getsid(each) == session for each in servers] == [here]


def is_at(connection, endpoint):
    # gRPC listens by IPv6, where there is one.
    at = (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port) if connection.laddr else None
    return connection.status == psutil.CONN_LISTEN and at == (endpoint.address, endpoint.port)
