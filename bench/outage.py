"""The same load while inventory is down: every order is pending; then the time until none is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench import database, load
from bench.load import Load, Measured
from bench.target import Target

MAX_DRAIN_S = 300.0
FILL = Load(connections=16, seconds=5, batch=100)
POLL_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Outage:
    """The orders accepted without inventory, and the cost of confirming them, which is not in *load*."""

    load: Measured
    backlog: int
    drain_s: float
    drain_cpu_s: float

    @property
    def drained_per_s(self) -> float:
        """Orders confirmed per second, from inventory's first response."""
        return self.backlog / self.drain_s if self.drain_s else 0.0


def measure(target: Target, wanted: Load, *, backlog: int = 0) -> Outage:
    """
    Stop inventory, place orders, start it again and wait until none is pending.

    More orders are placed in batches until *backlog* are pending. Raises `LoadFailed` if some still are after 300 s.
    """
    target.stop_inventory()
    try:
        taken = load.run(target, wanted, to_rest=False)
        while (waiting := database.pending(target.settings, target.rows_in)) < backlog:
            load.wrk(target, FILL)
    finally:
        target.start_inventory()
    began, cpu_before = time.monotonic(), target.parts.cpu_s()
    # There is no notification of that moment: polling four times a second costs less than a hundredth of a core.
    while database.pending(target.settings, target.rows_in):
        if time.monotonic() - began > MAX_DRAIN_S:
            raise load.LoadFailed(f"{target.name} still has pending orders {MAX_DRAIN_S:.0f} s after inventory is back")
        time.sleep(POLL_S)
    drain_s = time.monotonic() - began
    spent = load.used(cpu_before, target.parts.cpu_s())
    target.come_to_rest()
    return Outage(load=taken, backlog=waiting, drain_s=drain_s, drain_cpu_s=sum(spent.values()))
