"""Two processes in their own cgroups, without a stack, cut off from each other by the real packet filter."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos.partition import rules
from chaos.partition.delay import DelayProxy
from chaos.partition.filter import Filter, NotAllowed, cgroup_of
from chaos.partition.parts import Side
from chaos.partition.rules import Partition, made, renewed
from stack.run import cgroups
from stack.settings import Settings
from stack.topology.addresses import Endpoint

# A network that no stack uses: those of other ports begin at 17, and the tests' own is 200.
NETWORK = 9
SETTINGS = Settings(checkout=Path("/checkout"), state=Path("/state"), tools=Path("/tools"), network=NETWORK)

SERVER = """
import socket, threading
listening = socket.create_server((%r, 0))
print(listening.getsockname()[1], flush=True)
def echo(connection):
    while data := connection.recv(1000):
        connection.sendall(data)
while True:
    threading.Thread(target=echo, args=(listening.accept()[0],), daemon=True).start()
"""
# Sends over its open connection and over a new one, for each line of input.
CLIENT = """
import json, socket, sys, time
def asked(connection):
    began = time.monotonic()
    try:
        connection.sendall(b"x")
        return connection.recv(1) == b"x" and time.monotonic() - began
    except OSError as error:
        return type(error).__name__
def new():
    with socket.create_connection(address, LIMIT_S) as connection:
        return asked(connection)
LIMIT_S = 0.4
address = (sys.argv[1], int(sys.argv[2]))
kept = socket.create_connection(address, 5)
kept.settimeout(LIMIT_S)
print("connected", flush=True)
for _ in sys.stdin:
    try:
        fresh = new()
    except OSError as error:
        fresh = type(error).__name__
    print(json.dumps([asked(kept), fresh]), flush=True)
"""


@pytest.fixture(scope="module")
def packets():
    """Return the packet filter; fail plainly where a test may not use it."""
    try:
        found = Filter(SETTINGS)
    except NotAllowed as refused:
        pytest.skip(str(refused))
    yield found
    found.heal()


class Pair:
    """A client in one cgroup, a server in another, and a second client in none."""

    def __init__(self):
        folder = cgroups.of_stack(SETTINGS, cgroups.mount())
        address = f"127.{NETWORK}.2.1"
        server = cgroups.entered([sys.executable, "-c", SERVER % address], folder / "server-0", None)
        self._server = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
        self.listens = Endpoint(address, int(self._server.stdout.readline()))
        client = [sys.executable, "-c", CLIENT, address, str(self.listens.port)]
        self._client, self._bystander = (
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for words in (cgroups.entered(client, folder / "client-0", None), client)
        )
        for each in (self._client, self._bystander):
            assert each.stdout.readline() == "connected\n"

    def ask(self):
        """Return how long the open and a new connection of the client took, or the name of the error."""
        return self._answer(self._client)

    def ask_bystander(self):
        return self._answer(self._bystander)

    def end(self):
        for each in (self._client, self._bystander, self._server):
            each.kill()
            each.communicate()
        cgroups.remove(SETTINGS)

    def partition(self, **how):
        client, server = Side("client", ("client-0",), ()), Side("server", ("server-0",), (self.listens,))
        return Partition("pair", client, server, **how)

    def script(self, partition, **more):
        return made(partition, network=NETWORK, cgroup=cgroup_of(SETTINGS), **more)

    @staticmethod
    def _answer(process):
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())


@pytest.fixture
def pair(packets):
    made = Pair()
    yield made
    packets.heal()
    made.end()


def went(answers):
    return [isinstance(each, float) for each in answers]


def test_open_and_new_connections_of_both_sides_are_cut_and_no_others(pair, packets):
    assert went(pair.ask()) == [True, True]
    packets.run(pair.script(pair.partition()))
    assert went(pair.ask()) == [False, False]
    assert went(pair.ask_bystander()) == [True, True]
    assert [each.name for each in packets.partitions()] == ["pair"]
    assert packets.heal("pair") == ["pair"]
    # The open connection retransmits, and the longer it was cut, the longer that takes.
    assert went(pair.ask())[1]


@pytest.mark.parametrize("towards_server", [True, False])
def test_one_way_cuts_only_one_direction(pair, packets, towards_server):
    partition = pair.partition(one_way=True)
    if not towards_server:
        partition = Partition("pair", partition.other, partition.one, one_way=True)
    packets.run(pair.script(partition))
    assert went(pair.ask()) == [False, False]
    listed = subprocess.run(
        ["nft", "list", "table", "inet", "order_system_9_pair"], capture_output=True, text=True
    ).stdout
    assert f"ip {'d' if towards_server else 's'}addr" in listed
    assert listed.count("drop") == 2


def test_a_partition_that_is_not_renewed_expires_in_the_kernel(pair, packets, monkeypatch):
    monkeypatch.setattr(rules, "LEASE_S", 1)
    packets.run(pair.script(pair.partition()))
    time.sleep(0.5)
    packets.run(renewed(pair.partition(), NETWORK))
    time.sleep(0.7)
    assert went(pair.ask())[1] is False
    time.sleep(0.5)
    assert went(pair.ask())[1] is True
    assert [each.lapsed for each in packets.partitions()] == [True]


def test_a_percentage_of_packets_is_lost(pair, packets):
    packets.run(pair.script(pair.partition(loss_percent=60)))
    answers = [pair.ask()[1] for _ in range(6)]
    assert not all(isinstance(each, float) and each < 0.1 for each in answers)


async def test_a_delay_ends_with_its_proxy(pair, packets):
    proxies = DelayProxy(request_s=0.1, response_s=0.1), DelayProxy(request_s=0, response_s=0)
    ports = [await each.start() for each in proxies]
    packets.run(pair.script(pair.partition(delay_ms=100), proxies=tuple(ports)))
    kept, fresh = await asyncio.to_thread(pair.ask)
    assert kept in ("ConnectionResetError", "BrokenPipeError")
    assert 0.2 <= fresh < 0.4
    assert (await asyncio.to_thread(pair.ask_bystander))[1] < 0.2
    packets.heal("pair")
    for each in proxies:
        await each.stop()
    assert (await asyncio.to_thread(pair.ask))[1] < 0.2


def test_tables_of_others_are_left_alone(packets):
    subprocess.run(["nft", "add table inet order_system_test_of_others"], check=True)
    try:
        packets.heal()
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
        assert "order_system_test_of_others" in listed
    finally:
        subprocess.run(["nft", "delete table inet order_system_test_of_others"], check=True)


def test_a_process_and_its_children_start_in_their_cgroup(packets):
    folder = cgroups.of_stack(SETTINGS, cgroups.mount())
    words = cgroups.entered(["sh", "-c", "cat /proc/self/cgroup; id -un"], folder / "part-0", "nobody")
    # The group of nobody has another name in Debian.
    words = [word.replace("--regid=nobody", "--regid=nogroup") for word in words]
    output = subprocess.run(words, capture_output=True, text=True).stdout
    assert f"0::/order-system-{NETWORK}/part-0" in output
    assert output.endswith("nobody\n")
    cgroups.remove(SETTINGS)
    assert not folder.exists()


def test_without_cgroups_the_process_starts_anyway(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(cgroups.entered(["echo", "here"], tmp_path / "file" / "x", None), capture_output=True)
    assert done.stdout == b"here\n"


def test_without_root_the_command_fails_with_one_sentence(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotAllowed, match="needs root"):
        Filter(SETTINGS)
    with pytest.raises(NotAllowed, match="cgroups"):
        cgroup_of(SETTINGS)


def test_without_nftables_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("chaos.partition.filter.which", lambda _: None)
    with pytest.raises(NotAllowed, match="apt-get install nftables"):
        Filter(SETTINGS)
