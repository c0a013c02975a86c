"""A running stack under measurement: its customers, its stock, and its backlog."""

from __future__ import annotations

import asyncio
import os
import re
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.parts import Parts
from bench.target import Placed
from chaos.restock import restock
from stack import customer, settings
from stack.describe import describe
from stack.progress import Progress
from stack.run import end
from stack.run.start import Starter
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.addresses import Host, Network, Port
from stack.topology.passwords import write_private
from stack.topology.plan import REPLICAS

CHECKOUT = Path(__file__).resolve().parents[1]
CUSTOMERS = 64
"""Each has its own rate limit at the edge."""
UNITS = 500_000
REST_LIMIT_S = 60.0
QUIET_S = 0.5
METRICS_S = 30
INVENTORY = tuple(f"inventory-{replica}" for replica in REPLICAS)
_BACKLOGS = {
    "orders": ("outbox_waiting_rows", "kafka_consumer_lag"),
    "inventory": ("inventory_stock_events_backlog", "kafka_consumer_lag"),
}


@dataclass(frozen=True)
class Running:
    """One stack, ready for load; *name* is its name in results."""

    name: str
    settings: Settings
    parts: Parts
    products: tuple[str, ...]
    tokens: Path
    rows_in: str = "orders"

    @property
    def edge(self) -> str:
        """Return the address of its REST API."""
        return self.settings.edge_url

    def metrics(self, service: str) -> str:
        """
        Return the metrics of all replicas of *service*, concatenated.
        """
        network, host = Network(self.settings.network), Host[service.upper()]
        return "\n".join(_read(str(network.at(host, Port.METRICS, replica))) for replica in REPLICAS)

    def placed(self) -> Placed:
        """
        Return how many orders it has accepted, as counted by its running replicas.
        """
        text = self.metrics("orders")
        confirmed, pending = (
            int(total(text, f'orders_placed_total{{state="{state}"}}')) for state in ("CONFIRMED", "PENDING")
        )
        return Placed(confirmed, pending)

    def waiting(self) -> float:
        """
        Return the backlog: rows, events and records that are not processed yet.
        """
        texts = {service: self.metrics(service) for service in _BACKLOGS}
        return sum(total(texts[service], name) for service, names in _BACKLOGS.items() for name in names)

    def come_to_rest(self) -> float:
        """
        Wait until the load's backlog is empty, at most `REST_LIMIT_S`; return the seconds that took.
        """
        began = time.monotonic()
        quiet_since: float | None = None
        while time.monotonic() - began < REST_LIMIT_S:
            now = time.monotonic()
            quiet_since = None if self.waiting() else (quiet_since or now)
            if quiet_since is not None and now - quiet_since > QUIET_S:
                break
            # Rendering the metrics costs the services noticeable CPU.
            time.sleep(0.5)
        return time.monotonic() - began

    def stop_inventory(self) -> None:
        """
        Stop inventory's replicas, and keep them down.
        """
        end.stop(self.settings, INVENTORY)

    def start_inventory(self) -> None:
        """
        Start inventory's replicas again; they respond when this returns.
        """
        steps = system.steps(describe(self.settings))
        starter = Starter(settings=self.settings, supervisor=Supervisor(self.settings), progress=Progress())
        starter.run({name: steps[name] for name in INVENTORY})
        self.parts.look_again()


def prepare(name: str, state: str, port: str) -> Running:
    """
    Restock the stack in *state* with its edge at *port*, and create its customers' tokens.
    """
    environment = {**os.environ, "STATE": state, "PORT": port}
    chosen = settings.read(environment, checkout=CHECKOUT)
    operator = customer.metadata(chosen, "bench", operator=True)
    products = asyncio.run(restock(f"127.0.0.1:{chosen.port}", operator, units=UNITS))
    return Running(name, chosen, Parts(chosen), tuple(products), draw_tokens(chosen, CUSTOMERS))


def draw_tokens(chosen: Settings, customers: int) -> Path:
    """
    Return a file with one token per line, of the customers `bench-0`, `bench-1`, ….
    """
    path = chosen.secrets / f"bench-tokens-{customers}"
    write_private(path, "".join(f"{customer.token(chosen, f'bench-{each}')}\n" for each in range(customers)))
    return path


def total(text: str, name: str) -> float:
    """
    Return the sum of the metric *name*, which may end with labels, over all its samples in *text*.
    """
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.MULTILINE)
    return sum(map(float, found))


def _read(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=METRICS_S) as answer:
        return str(answer.read().decode())
