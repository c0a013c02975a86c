"""Draws an experiment from a seed: which faults, on what, when, for how long, and with what overlap."""

from __future__ import annotations

import random
from collections.abc import Callable

from chaos.lab.experiment import Bound, Experiment, Step
from chaos.lab.load import LoadPlan

REPLICAS = ("orders-0", "orders-1", "inventory-0", "inventory-1")
SIDECARS = tuple(f"{name}-envoy" for name in REPLICAS)
STORES = ("kafka", "redis", "postgres-leader", "postgres-replica")
PAIRS = (
    ("orders", "inventory"),
    ("orders", "kafka"),
    ("orders", "postgres"),
    ("inventory", "redis"),
    ("inventory", "kafka"),
    ("orders-0", "postgres"),
    ("edge", "orders-1"),
)
FAULTS = ("inventory-delay", "inventory-abort-grpc", "inventory-abort-http", "edge-abort-http")
# No quiet time is needed at the end: recovery is waited for anyway.
SHORTEST_S, LONGEST_S, GAP_S = 2.0, 20.0, 12.0


def experiment(seed: int, minutes: float) -> Experiment:
    """
    Return the experiment of a seed, of *minutes* length.

    Faults of the same part, and of anything in PostgreSQL, do not overlap; all others may.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable
    busy: dict[str, float] = {}
    method: list[Step] = []
    at_s = chance.uniform(1, 3)
    while at_s < minutes * 60 - SHORTEST_S:
        step = chance.choice(KINDS)(chance, at_s)
        parts = _touched(step)
        if all(busy.get(part, 0.0) <= at_s for part in parts):
            method.append(step)
            # A part gets some time to recover before the next fault hits it.
            busy.update(dict.fromkeys(parts, at_s + step.for_s + GAP_S))
        at_s += chance.uniform(0.5, GAP_S)
    return Experiment(
        name=f"random-{seed}",
        title=f"Random faults of seed {seed} for {minutes:g} minutes",
        hypothesis="However faults overlap, nothing acknowledged is lost, doubled or oversold, and all recovers.",
        steady_state=[Bound("success", at_least=0.95), Bound("pending", at_most=30), Bound("unhealthy", at_most=0)],
        load=LoadPlan(customers=8, pause_s=0.3),
        method=method,
        answers=frozenset({0, 201, 202, 400, 408, 409, 429, 499, 500, 502, 503, 504}),
        longest_silence_s=120,
        expect=(),
        recovery_limit_s=120,
        abort=[Bound("silence_s", at_most=180)],
        rollbacks=(),
        # One fault may make another impossible.
        strict=False,
    )


def _ended(chance: random.Random, at_s: float) -> Step:
    target = chance.choice((*REPLICAS, *SIDECARS, *STORES))
    action = chance.choice(("kill", "stop", "pause"))
    return Step(at_s, action, _length(chance), {"target": target})


def _cut(chance: random.Random, at_s: float) -> Step:
    one, other = chance.choice(PAIRS)
    how = chance.choice(({}, {}, {"one_way": True}, {"loss_percent": chance.randint(5, 60)}))
    return Step(at_s, "partition", _length(chance), {"between": one, "and": other, **how})


def _mesh(chance: random.Random, at_s: float) -> Step:
    return Step(at_s, "mesh", _length(chance), {"file": f"chaos/faults/{chance.choice(FAULTS)}.yaml"})


def _burst(chance: random.Random, at_s: float) -> Step:
    return Step(at_s, "burst", _length(chance), {"factor": chance.choice((3, 10))})


def _lock(chance: random.Random, at_s: float) -> Step:
    return Step(at_s, "lock-table", _length(chance), {"table": chance.choice(("orders", "outbox", "sold_units"))})


def _moment(chance: random.Random, at_s: float) -> Step:
    return Step(at_s, chance.choice(("empty-redis", "switchover")))


KINDS: tuple[Callable[[random.Random, float], Step], ...] = (
    _ended,
    _ended,
    _ended,
    _cut,
    _cut,
    _mesh,
    _burst,
    _lock,
    _moment,
)


def _length(chance: random.Random) -> float:
    return round(chance.uniform(SHORTEST_S, LONGEST_S), 1)


def _touched(step: Step) -> set[str]:
    """Return the parts that a step excludes from other faults meanwhile."""
    arguments = step.arguments
    named = {str(arguments[key]).split("-")[0] for key in ("target", "between", "and") if key in arguments}
    if step.action in ("mesh", "burst"):
        return {step.action}
    if step.action == "lock-table" or step.action == "switchover":
        return {"postgres"}
    return {"redis"} if step.action == "empty-redis" else named
