"""The naive stack, ready for load: on its own stores, with enough stock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from bench import database
from bench.parts import Parts
from bench.peer import environment, programs, stores
from bench.peer.programs import DATABASE, TOPICS, Programs
from bench.target import Placed
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.topics import Topic, ensure_topics
from stack.progress import Progress
from stack.settings import Settings
from stack.topology.plan import Plan

SCHEMA = Path(__file__).parent / "service" / "schema.sql"
PRODUCTS = 6
UNITS = 100_000_000
PRICE_CENTS = 1299
REST_LIMIT_S = 60.0
# Orders whose response was pending have been changed since, or are still pending.
PLACED = "SELECT count(*), count(*) FILTER (WHERE state = 'PENDING' OR updated_at > created_at) FROM orders"


@dataclass(frozen=True)
class Peer:
    """One naive stack; *name* is its name in results."""

    name: str
    plan: Plan
    programs: Programs
    parts: Parts
    products: tuple[str, ...]
    tokens: Path | None = None
    rows_in: str = DATABASE

    @property
    def settings(self) -> Settings:
        """Return the stack whose stores it uses."""
        return self.plan.settings

    @property
    def edge(self) -> str:
        """Return the address of its REST API."""
        return f"http://{programs.address(self.plan, 'gateway')}"

    def placed(self) -> Placed:
        """Return how many orders it has accepted."""
        with database.connected(self.settings, DATABASE) as connection:
            row = connection.execute(PLACED).fetchone()
        total, pending = row or (0, 0)
        return Placed(confirmed=total - pending, pending=pending)

    def come_to_rest(self) -> float:
        """
        Wait until no order is pending, at most `REST_LIMIT_S`: everything else is done before a client gets its
        response.
        """
        began = time.monotonic()
        while database.pending(self.settings, DATABASE) and time.monotonic() - began < REST_LIMIT_S:
            time.sleep(0.5)
        return time.monotonic() - began

    def stop_inventory(self) -> None:
        """Stop inventory, and keep it down."""
        self.programs.stop("inventory")

    def start_inventory(self) -> None:
        """Start inventory again; it responds when this returns."""
        self.programs.start("inventory")
        self.parts.look_again(_roots(self.programs))


@contextmanager
def running(settings: Settings, progress: Progress) -> Iterator[Peer]:
    """
    Yield the naive stack on the stores of the stack in *settings*; stop all of it afterwards.
    """
    python = environment.ensure(settings)
    with stores.running(settings, progress) as plan:
        _make_database(settings)
        ensure_topics(KafkaCluster(plan.kafka_brokers), [Topic(name) for name in TOPICS.values()])
        products = _fill_shelves(plan)
        with programs.running(plan, python) as services:
            yield Peer("peer", plan, services, Parts(settings, _roots(services)), products)


def _roots(services: Programs) -> dict[int, str]:
    return {child.pid: name for name, child in services.children.items()}


def _make_database(settings: Settings) -> None:
    with database.connected(settings, "postgres") as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    with database.connected(settings, DATABASE) as connection:
        connection.execute(SCHEMA.read_bytes())


def _fill_shelves(plan: Plan) -> tuple[str, ...]:
    products = tuple(f"products/peer-{number}" for number in range(PRODUCTS))
    with Redis.from_url(programs.redis_url(plan)) as stock:
        # Reservations of earlier runs are useless for this one, and use memory.
        stock.flushdb()
        for product in products:
            stock.hset(f"stock:{product}", mapping={"available": UNITS, "price": PRICE_CENTS})
    return products
