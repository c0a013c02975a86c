"""Closed-loop load on a stack's REST edge by wrk, and what it cost."""

from __future__ import annotations

import json
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from bench.running import Running, total

SCRIPT = Path(__file__).with_name("orders.lua")
SPARE_S = 30


class LoadFailed(Exception):
    """The load generator did not do its work; the message has what it said."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How hard: *connections* that each wait for their answer, for *seconds*; *batch* orders a call, 0: one by one."""

    connections: int = 32
    seconds: int = 8
    batch: int = 0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One round on one stack; CPU seconds are for 1,000 orders, until nothing of them waited any more."""

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
    cpu_s: dict[str, float]

    @property
    def cpu_sum_s(self) -> float:
        """CPU seconds of all parts."""
        return sum(self.cpu_s.values())


def run(running: Running, load: Load) -> Measured:
    """
    Place orders, wait for what follows from them, and return what that took.

    Raises `LoadFailed` if the load generator fails or no order was taken.
    """
    before, cpu_before = _placed(running), running.parts.cpu_s()
    told = _wrk(running, load)
    drain_s = running.come_to_rest()
    cpu_after, after = running.parts.cpu_s(), _placed(running)
    orders = after["CONFIRMED"] - before["CONFIRMED"] + after["PENDING"] - before["PENDING"]
    if not orders:
        raise LoadFailed(f"{running.name} took no order: {told}")
    used = {part: 1000 * (seconds - cpu_before.get(part, 0.0)) / orders for part, seconds in cpu_after.items()}
    return Measured(
        stack=running.name,
        orders=orders,
        pending=after["PENDING"] - before["PENDING"],
        refused=int(told["refused"]),
        broken=int(told["broken"]),
        orders_per_s=orders / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        p999_ms=told["p999_ms"],
        drain_s=drain_s,
        cpu_s=used,
    )


def _placed(running: Running) -> dict[str, int]:
    text = running.metrics("orders")
    return {state: int(total(text, f'orders_placed_total{{state="{state}"}}')) for state in ("CONFIRMED", "PENDING")}


def _wrk(running: Running, load: Load) -> dict[str, float]:
    command = [
        *("wrk", "--threads", "1", "--connections", str(load.connections), "--duration", f"{load.seconds}s"),
        *("--timeout", "10s", "--script", str(SCRIPT), running.edge, "--"),
        *(str(running.tokens), ",".join(running.products), uuid.uuid4().hex[:12], str(load.batch)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=load.seconds + SPARE_S, check=False)
    except FileNotFoundError:
        raise LoadFailed("wrk is not there: apt-get install wrk") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LoadFailed(f"wrk failed: {done.stdout} {done.stderr}")
    told: dict[str, float] = json.loads(lines[-1])
    return told
