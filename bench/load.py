"""Closed-loop load on a REST edge by wrk, and its cost."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import database
from bench.target import Placed, Target
from stack.errors import StackError
from stack.settings import Settings

SCRIPT = Path(__file__).with_name("orders.lua")
SPARE_S = 30
WARMING_S = 3


class LoadFailed(StackError):
    """The load generator failed; the message has its output."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """
    The load: *connections* that each wait for their response, for *seconds*; *batch* orders per call, 0: one by one.
    """

    connections: int = 32
    seconds: int = 8
    batch: int = 0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One round on one stack until its backlog was empty; CPU seconds per 1,000 orders, bytes per order."""

    stack: str
    orders: int
    pending: int
    refused: int
    broken: int
    orders_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    drain_s: float
    wal_bytes: float
    kafka_bytes: float
    cpu_s: dict[str, float]

    @property
    def cpu_sum_s(self) -> float:
        """CPU seconds of all parts."""
        return sum(self.cpu_s.values())

    @property
    def failed(self) -> int:
        """Calls that were rejected, or had no response."""
        return self.refused + self.broken


def run(target: Target, load: Load, *, to_rest: bool = True) -> Measured:
    """
    Place orders, wait for the end of the backlog unless *to_rest* is false, and return the measurements.

    Raises `LoadFailed` if the load generator fails or no order was accepted.
    """
    before = look(target)
    result = wrk(target, load)
    drain_s = target.come_to_rest() if to_rest else 0.0
    return _measured(target.name, result, look(target).since(before), drain_s)


@dataclass(frozen=True)
class Look:
    """The orders, CPU seconds and bytes of a target so far."""

    placed: Placed
    cpu_s: Mapping[str, float]
    wal_bytes: int
    kafka_bytes: int

    def since(self, before: Look) -> Look:
        """Return the difference to *before*."""
        return Look(
            self.placed.since(before.placed),
            used(before.cpu_s, self.cpu_s),
            self.wal_bytes - before.wal_bytes,
            self.kafka_bytes - before.kafka_bytes,
        )


def look(target: Target) -> Look:
    """
    Return the orders, CPU seconds and bytes of *target* so far.
    """
    wal, kafka = database.wal_bytes(target.settings), kafka_bytes(target.settings)
    return Look(target.placed(), target.parts.cpu_s(), wal, kafka)


def kafka_bytes(settings: Settings) -> int:
    """
    Return the size of all topics on every broker; deleted records are not included.
    """
    return sum(each.stat().st_size for each in settings.data.glob("kafka-*/*/*.log"))


def warm(target: Target, load: Load) -> None:
    """
    Put *load* on *target* for a few seconds, and wait for the end of the backlog; results are ignored.
    """
    wrk(target, replace(load, seconds=WARMING_S))
    target.come_to_rest()


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """
    Return the CPU seconds of each part between two looks.
    """
    return {part: seconds - before.get(part, 0.0) for part, seconds in after.items()}


def _measured(name: str, result: Mapping[str, float], spent: Look, drain_s: float) -> Measured:
    orders = spent.placed.confirmed + spent.placed.pending
    if not orders:
        raise LoadFailed(f"{name} took no order: {dict(result)}")
    return Measured(
        stack=name,
        orders=orders,
        pending=spent.placed.pending,
        refused=int(result["refused"]),
        broken=int(result["broken"]),
        orders_per_s=orders / result["seconds"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        p999_ms=result["p999_ms"],
        drain_s=drain_s,
        wal_bytes=spent.wal_bytes / orders,
        kafka_bytes=spent.kafka_bytes / orders,
        cpu_s={part: 1000 * seconds / orders for part, seconds in spent.cpu_s.items()},
    )


def wrk(target: Target, load: Load) -> dict[str, float]:
    """
    Put *load* on *target* and return the results of `orders.lua`; raise `LoadFailed`.
    """
    place = (str(target.tokens or "-"), ",".join(target.products), uuid.uuid4().hex[:12], str(load.batch))
    return run_wrk(SCRIPT, target.edge, place, load)


def run_wrk(script: Path, url: str, arguments: Sequence[str], load: Load) -> dict[str, float]:
    """
    Run wrk with a script that prints a line of JSON at the end, and return that; raise `LoadFailed`.
    """
    command = [
        *("wrk", "--threads", "1", "--connections", str(load.connections), "--duration", f"{load.seconds}s"),
        *("--timeout", "10s", "--script", str(script), url, "--", *arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=load.seconds + SPARE_S, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LoadFailed(f"wrk failed: {done.stdout} {done.stderr}")
    result: dict[str, float] = json.loads(lines[-1])
    return result
