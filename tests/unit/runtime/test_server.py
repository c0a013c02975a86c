"""How a service's process ends."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2

from runtime.server import Server
from runtime.settings import ServiceSettings
from stack.settings import CHECKOUT

CRASH = """
import ctypes
from runtime.server import run

async def main():
    ctypes.string_at(0)

run(main)
"""
MEASURED = """
import asyncio
import gc
from prometheus_client import REGISTRY
from runtime.server import run

async def main():
    await asyncio.sleep(0.1)
    print(gc.get_freeze_count(), REGISTRY.get_sample_value("event_loop_lag_seconds_count"))

run(main)
"""
LEFT_OPEN = """
import time
from runtime.messaging import consumer
from runtime.server import run

class Consumer:
    def __del__(self):
        time.sleep(60)

async def main():
    consumer._left_open.append(("group", Consumer()))
    print("done")

run(main)
"""
CALLERS = 4
METHOD = "/shop.Clock/Tick"


def test_a_crash_outside_of_python_has_a_traceback():
    ended = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, timeout=30)
    assert ended.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in ended.stderr
    assert "in main" in ended.stderr


def test_what_imports_made_is_frozen_and_the_loops_lag_is_measured():
    ended = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    frozen, observed = ended.stdout.split()
    assert int(frozen) > 10_000
    assert float(observed) > 0


class Clock:
    """A service whose calls take some turns of the loop."""

    async def tick(self, request, context):
        for _ in range(10):
            await asyncio.sleep(0)
        return request

    def add_to(self, _, server):
        method = grpc.unary_unary_rpc_method_handler(
            self.tick, health_pb2.HealthCheckRequest.FromString, health_pb2.HealthCheckRequest.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Clock", {"Tick": method}),))


@pytest.fixture
async def server(request):
    # Callers leave when they have noticed, which takes longer than the drain waits.
    settings = ServiceSettings(kafka_brokers="127.0.0.1:1", drain_wait_s=0, drain_limit_s=request.param)
    clock = Clock()
    server = Server(settings, domain="test", services=(), servicers=[(clock.add_to, clock)])
    server.port = server._server.add_insecure_port("127.0.0.1:0")
    await server._server.start()
    yield server
    await server._server.stop(None)


class Calls:
    """The codes of calls, counted as they end."""

    def __init__(self):
        self.codes = Counter()
        self._another = asyncio.Event()

    def count(self, code):
        self.codes[code] += 1
        self._another.set()

    async def reach(self, total):
        """Wait until *total* calls have ended."""
        async with asyncio.timeout(30):
            while self.codes.total() < total:
                self._another.clear()
                await self._another.wait()


async def call_until(leaves, port, calls):
    """Call one call after the other until *leaves* is set."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        call = channel.unary_unary(METHOD)
        while not leaves.is_set():
            try:
                await call(b"", timeout=10)
                calls.count(grpc.StatusCode.OK)
            except grpc.aio.AioRpcError as error:
                calls.count(error.code())


async def drain(server, *, leave):
    """Return the codes of calls around a drain, during which all callers leave if *leave*."""
    calls, leaves = Calls(), asyncio.Event()
    callers = [asyncio.create_task(call_until(leaves, server.port, calls)) for _ in range(CALLERS)]
    try:
        await calls.reach(CALLERS)
        draining = asyncio.create_task(server._drain())
        await calls.reach(calls.codes.total() + 10 * CALLERS)
        if leave:
            leaves.set()
        async with asyncio.timeout(10):
            await draining
    finally:
        leaves.set()
        await asyncio.gather(*callers)
    return calls.codes


@pytest.mark.parametrize("server", [20], indirect=True)
async def test_callers_who_leave_late_lose_no_call(server):
    codes = await drain(server, leave=True)
    assert set(codes) == {grpc.StatusCode.OK}


@pytest.mark.parametrize("server", [0.4], indirect=True)
async def test_callers_who_never_leave_do_not_prevent_the_end(server):
    assert await drain(server, leave=False)


def edges_limit_bytes():
    """Return the size of the largest headers that the edge lets through."""
    filters = yaml.safe_load_all((CHECKOUT / "istio/edge-filters.yaml").read_text())
    values = [each["patch"]["value"] for edge in filters for each in edge["spec"]["configPatches"]]
    configs = [each.get("typed_config", {}) for each in values]
    [kib] = [each["max_request_headers_kb"] for each in configs if "max_request_headers_kb" in each]
    return kib * 1024


@pytest.mark.parametrize("server", [1], indirect=True)
async def test_what_the_edge_lets_through_is_not_refused_by_grpc(server):
    """It would say RESOURCE_EXHAUSTED of what is too large at every repeat."""
    metadata = (("x-long", "a" * edges_limit_bytes()),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", [("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(METHOD)
        # gRPC's limit begins when the client has acknowledged the server's settings.
        assert {await call(b"", timeout=10, metadata=metadata) for _ in range(5)} == {b""}


def test_a_consumer_that_was_left_open_does_not_hold_up_the_end_of_the_process():
    command = [sys.executable, "-c", LEFT_OPEN]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout.split()[0]) == (0, "done")
    assert "consumers_stuck_at_exit" in ended.stdout
