"""A leader switches over before it is stopped, on a fake of Patroni's API."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stores import hand_over

CREDENTIALS = ("patroni", "secret")
SIGNED = "Basic " + base64.b64encode(b"patroni:secret").decode()


class Patroni(ThreadingHTTPServer):
    """Serves Patroni's API of postgres-1; `switched` records switchover requests."""

    def __init__(self, *members):
        super().__init__(("127.0.0.1", 0), Handler)
        self.members = [dict(zip(("name", "role", "state"), each, strict=True)) for each in members]
        self.refusals = 0
        self.switched = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        bodies = {"/patroni": {"patroni": {"name": "postgres-1"}}, "/cluster": {"members": self.server.members}}
        self.answer(200, bodies[self.path])

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["authorization"] == SIGNED
        self.server.switched.append(request)
        if len(self.server.switched) <= self.server.refusals:
            self.answer(412, "not now")
            return
        for each in self.server.members:
            each["role"] = "leader" if each["name"] == request["candidate"] else "replica"
        self.answer(200, "done")

    def answer(self, code, body):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        """Log nothing."""


@pytest.fixture
def patroni(monkeypatch):
    """Start a fake Patroni with these members, with short waits."""
    monkeypatch.setattr(hand_over, "PAUSE_S", 0.001)
    servers = []

    def started(*members):
        server = Patroni(*members)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        return server

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


REPLICA = ("postgres-0", "replica", "streaming")
LEADER = ("postgres-1", "leader", "running")
SYNC = ("postgres-2", "sync_standby", "streaming")


def test_a_leader_hands_over_to_the_synchronous_replica(patroni):
    server = patroni(REPLICA, LEADER, SYNC)
    assert hand_over.hand_over(server.url, CREDENTIALS) == "postgres-2"
    assert server.switched == [{"leader": "postgres-1", "candidate": "postgres-2"}]


def test_a_replica_has_nothing_to_hand_over(patroni):
    server = patroni(("postgres-0", "leader", "running"), ("postgres-1", "sync_standby", "streaming"))
    assert hand_over.hand_over(server.url, CREDENTIALS) is None
    assert server.switched == []


def test_an_already_restarted_replica_is_preferred_for_the_switchover(patroni):
    server = patroni(
        ("postgres-0", "quorum_standby", "streaming"), LEADER, ("postgres-2", "quorum_standby", "streaming")
    )
    assert hand_over.hand_over(server.url, CREDENTIALS) == "postgres-2"


def test_a_refused_switchover_is_retried(patroni):
    server = patroni(LEADER, SYNC)
    server.refusals = 2
    assert hand_over.hand_over(server.url, CREDENTIALS) == "postgres-2"
    assert len(server.switched) == 3


def test_a_leader_waits_for_a_synchronous_replica_within_a_limit(patroni):
    server = patroni(LEADER, REPLICA)
    with pytest.raises(hand_over.NoHandOver, match="no replica is synchronous"):
        hand_over.hand_over(server.url, CREDENTIALS, limit_s=0.05)
    assert server.switched == []


def test_a_leader_without_other_members_does_not_wait(patroni):
    server = patroni(LEADER, ("postgres-2", "replica", "stopped"))
    with pytest.raises(hand_over.NoHandOver, match="no other member runs"):
        hand_over.hand_over(server.url, CREDENTIALS, limit_s=60)


def test_an_unresponsive_patroni_delays_the_stop_by_the_limit_at_most():
    with pytest.raises(hand_over.NoHandOver, match="does not answer"):
        hand_over.hand_over("http://127.0.0.1:1", CREDENTIALS, limit_s=0.05)
