"""How `make hostile` measures the turns of an Envoy's worker."""

import asyncio
import os
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from chaos.hostile import turns

HEAD, PING, ACK = struct.Struct(">HBBBI"), 6, 1


@pytest.fixture
def worker():
    """Return a function that starts a stand-in for an Envoy, which takes its turn before it answers the tenth ping."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(turn):
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(turns.WORKER)
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as incoming:
                incoming.read(len(turns.PREFACE))
                connection.sendall(HEAD.pack(0, 0, turns.SETTINGS, 0, 0))
                pings = 0
                while head := incoming.read(HEAD.size):
                    high, low, kind, *_ = HEAD.unpack(head)
                    payload = incoming.read(high << 8 | low)
                    if kind == PING:
                        pings += 1
                        if pings == 10:
                            turn()
                        connection.sendall(HEAD.pack(0, 8, PING, ACK, 0) + payload)

        def start(turn):
            threading.Thread(target=serve, args=(turn,), daemon=True).start()
            return turns.Envoy("127.0.0.1", listening.getsockname()[1], os.getpid())

        yield start


def spin(seconds):
    """Use the CPU for *seconds*."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.parametrize(
    ("turn", "least_ms", "most_ms"),
    [
        pytest.param(lambda: spin(0.2), 150, 1000, id="a turn that computes"),
        pytest.param(lambda: time.sleep(0.2), 0, 50, id="a worker that does not run"),
    ],
)
async def test_the_longest_turn_is_what_the_worker_computed(worker, turn, least_ms, most_ms):
    async with turns.measured({"edge": worker(turn)}) as longest:
        await asyncio.sleep(2)
    assert least_ms <= longest.ms["edge"] <= most_ms
    assert not longest.unmeasured


async def test_an_envoy_that_answers_nothing_is_not_measured(worker):
    envoy = worker(lambda: None)
    async with turns.measured({"edge": turns.Envoy("127.0.0.1", 1, envoy.pid)}) as longest:
        await asyncio.sleep(0.2)
    assert longest.unmeasured == ["edge"]
    assert not longest.ms
