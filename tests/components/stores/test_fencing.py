"""The lease of a leader is ended only once it is known to be dead, in a real etcd."""

import base64
import json
import os
import subprocess
import types
import urllib.error
import urllib.request

import pytest

from chaos.failover.members import NotFenced, fence
from stack.run import members
from stack.settings import Settings
from stack.topology.addresses import Endpoint
from tests.support.processes import CHECKOUT, Process, free_port, own_host, wait_for

KEY = "/service/shop/leader"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class Etcd:
    def __init__(self, address):
        self.address = address

    def ask(self, method, **question):
        request = urllib.request.Request(f"http://{self.address}/v3/kv/{method}", json.dumps(question).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def put(self, value):
        self.ask("put", key=encoded(KEY), value=encoded(value))

    def value(self):
        found = self.ask("range", key=encoded(KEY)).get("kvs", [])
        return base64.b64decode(found[0]["value"]).decode() if found else None

    def answers(self):
        try:
            self.ask("range", key=encoded(KEY))
        except urllib.error.URLError:
            return False
        return True


@pytest.fixture
def etcd(tmp_path):
    host = own_host(31)
    client, peer = (f"http://{host}:{free_port(host)}" for _ in range(2))
    server = Process(
        [
            "etcd", "--name=one", f"--data-dir={tmp_path}/etcd", "--log-level=error",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=one={peer}",
        ],
        tmp_path / "etcd.log",
    ).start()  # fmt: skip
    found = Etcd(client.removeprefix("http://"))
    wait_for(found.answers, 20, "etcd answers")
    yield found
    server.kill()


@pytest.fixture
def plan(etcd, tmp_path):
    address, port = etcd.address.split(":")
    network = types.SimpleNamespace(at=lambda *_: Endpoint(address, int(port)))
    settings = Settings(checkout=CHECKOUT, state=tmp_path, tools=tmp_path, network=77)
    return types.SimpleNamespace(settings=settings, network=network)


def test_the_lease_of_a_dead_leader_is_ended(etcd, plan):
    etcd.put("postgres-1")
    fence(plan, "postgres-1")
    assert etcd.value() is None


def test_the_lease_of_another_leader_stays(etcd, plan):
    etcd.put("postgres-0")
    with pytest.raises(NotFenced, match=r"^postgres-1 does not hold the lease of the leader$"):
        fence(plan, "postgres-1")
    assert etcd.value() == "postgres-0"


def test_a_leader_of_which_any_process_is_left_keeps_its_lease(etcd, plan):
    etcd.put("postgres-1")
    marks = {members.SUPERVISED_BY: members.address(plan.settings), members.SUPERVISED_AS: "postgres-1"}
    server = subprocess.Popen(["sleep", "60"], env=os.environ | marks)
    try:
        with pytest.raises(NotFenced, match=r"^postgres-1 is not dead: 1 of its processes are left$"):
            fence(plan, "postgres-1")
        assert etcd.value() == "postgres-1"
    finally:
        server.kill()
        server.wait()
