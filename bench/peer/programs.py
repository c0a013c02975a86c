"""Starts the naive stack's services as child processes, and stops them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import database
from stack.errors import StackError
from stack.run.start import last_lines
from stack.topology.addresses import Endpoint
from stack.topology.plan import Plan

DATABASE = "peer"
TOPICS = {"ORDER_EVENTS": "peer_order_events", "PENDING_ORDERS": "peer_pending_orders"}
REDIS_DATABASE = 1
WORKERS = 2
PORT = 8000
# S of 127.N.S.1, beside those of the stack that the stores are of.
HOSTS = {"gateway": 40, "orders": 41, "inventory": 42}
START_S = 30
STOP_S = 15


class PeerFailed(StackError):
    """A service of the naive stack did not start; the message has its output."""


@dataclass
class Programs:
    """The running services; *children* by their names."""

    plan: Plan
    python: Path
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a service with its workers, and wait until it responds; raise `PeerFailed` after 30 s."""
        log = self.plan.settings.log / f"peer-{name}.log"
        with log.open("w") as output:
            self.children[name] = subprocess.Popen(
                # It ends with the benchmark, even if that is killed.
                [shutil.which("setpriv") or "setpriv", "--pdeathsig", "TERM", "--", *self._command(name)],
                cwd=self.plan.settings.checkout,
                env={"PATH": os.environ["PATH"], **environment(self.plan)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_S
        while not _answers(address(self.plan, name)):
            if self.children[name].poll() is not None or time.monotonic() > deadline:
                raise PeerFailed("\n".join([f"the peer's {name} does not start", *last_lines(log)]))
            time.sleep(0.2)

    def stop(self, name: str) -> None:
        """Stop a service and its workers."""
        child = self.children.pop(name, None)
        if child is None:
            return
        child.terminate()
        try:
            child.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(timeout=STOP_S)

    def _command(self, name: str) -> list[str]:
        listen = address(self.plan, name)
        return [
            *(str(self.python), "-m", "uvicorn", f"bench.peer.service.{name}:app"),
            *("--host", listen.address, "--port", str(listen.port), "--workers", str(WORKERS)),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        ]


@contextmanager
def running(plan: Plan, python: Path) -> Iterator[Programs]:
    """Yield the three services on the stores of *plan*."""
    programs = Programs(plan, python)
    with ExitStack() as ended:
        for name in ("inventory", "orders", "gateway"):
            ended.callback(programs.stop, name)
            programs.start(name)
        yield programs


def address(plan: Plan, name: str) -> Endpoint:
    """Return the address of a service."""
    return Endpoint(f"127.{plan.settings.network}.{HOSTS[name]}.1", PORT)


def environment(plan: Plan) -> Mapping[str, str]:
    """Return the services' environment variables."""
    leading = f"{database.url(plan.settings, DATABASE)}?target_session_attrs=primary"
    return {
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": leading,
        "REDIS_URL": redis_url(plan),
        "KAFKA_BROKERS": plan.kafka_brokers,
        "ORDERS_URL": f"http://{address(plan, 'orders')}",
        "INVENTORY_URL": f"http://{address(plan, 'inventory')}",
        **TOPICS,
    }


def redis_url(plan: Plan) -> str:
    """Return the address of the naive stack's stock: its own database in the stack's Redis."""
    return f"{plan.redis_url.rpartition('/')[0]}/{REDIS_DATABASE}"


def _answers(listen: Endpoint) -> bool:
    try:
        with urllib.request.urlopen(f"http://{listen}/openapi.json", timeout=2):
            return True
    except (OSError, urllib.error.URLError):
        return False
