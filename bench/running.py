"""A running stack that is measured: whom it sells to, what it has on its shelves, and when it has come to rest."""

from __future__ import annotations

import asyncio
import os
import re
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.parts import Parts
from chaos.restock import restock
from stack import customer, settings
from stack.settings import Settings
from stack.topology.addresses import Host, Network, Port
from stack.topology.plan import REPLICAS

CHECKOUT = Path(__file__).resolve().parents[1]
CUSTOMERS = 64
"""Each has a limit of its own at the edge."""
UNITS = 500_000
REST_LIMIT_S = 60.0
QUIET_S = 0.5
METRICS_S = 30
_BACKLOGS = {
    "orders": ("outbox_waiting_rows", "kafka_consumer_lag"),
    "inventory": ("inventory_stock_events_backlog", "kafka_consumer_lag"),
}


@dataclass(frozen=True)
class Running:
    """One stack, ready for load; *name* is what results call it."""

    name: str
    settings: Settings
    parts: Parts
    products: tuple[str, ...]
    tokens: Path

    @property
    def edge(self) -> str:
        """Where its REST API is."""
        return self.settings.edge_url

    def metrics(self, service: str) -> str:
        """
        Return the metrics of all replicas of *service*, one text after the other.
        """
        network, host = Network(self.settings.network), Host[service.upper()]
        return "\n".join(_read(str(network.at(host, Port.METRICS, replica))) for replica in REPLICAS)

    def waiting(self) -> float:
        """
        Return how many rows, events and records wait for what is to be done with them.
        """
        texts = {service: self.metrics(service) for service in _BACKLOGS}
        return sum(total(texts[service], name) for service, names in _BACKLOGS.items() for name in names)

    def come_to_rest(self) -> float:
        """
        Wait until nothing of the load waits any more, at most `REST_LIMIT_S`; return the seconds that took.
        """
        began = time.monotonic()
        quiet_since: float | None = None
        while time.monotonic() - began < REST_LIMIT_S:
            now = time.monotonic()
            quiet_since = None if self.waiting() else (quiet_since or now)
            if quiet_since is not None and now - quiet_since > QUIET_S:
                break
            # Telling costs the services more than little.
            time.sleep(0.5)
        return time.monotonic() - began


def prepare(name: str, state: str, port: str) -> Running:
    """
    Fill the shelves of the stack in *state* with its edge at *port*, and draw its customers' tokens.
    """
    environment = {**os.environ, "STATE": state, "PORT": port}
    chosen = settings.read(environment, checkout=CHECKOUT)
    operator = customer.metadata(chosen, "bench", operator=True)
    products = asyncio.run(restock(f"127.0.0.1:{chosen.port}", operator, units=UNITS))
    tokens = chosen.state / "bench-tokens"
    tokens.touch(mode=0o600)
    tokens.write_text("".join(f"{customer.token(chosen, f'bench-{each}')}\n" for each in range(CUSTOMERS)))
    return Running(name, chosen, Parts(chosen), tuple(products), tokens)


def total(text: str, name: str) -> float:
    """
    Return the sum of the metric *name*, which may end with labels, over all that *text* tells of it.
    """
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.MULTILINE)
    return sum(map(float, found))


def _read(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=METRICS_S) as answer:
        return str(answer.read().decode())
