"""What a seed has happen: what customers and operators do, and what breaks, when and for how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

PRODUCTS = {"mug": 60, "pen": 30, "tea": 40, "cap": 6}
"""With the units that are there at first."""
CUSTOMERS = ("ann", "bob", "eve")
BEGIN_S, END_S = 2.0, 30.0
"""When things happen; after that everything is put right."""
ORDERS, INVENTORIES = ("orders-0", "orders-1"), ("inventory-0", "inventory-1")
REPLICAS = (*ORDERS, *INVENTORIES)
LINKS = (
    *((name, "postgres") for name in ORDERS),
    *((name, "kafka") for name in REPLICAS),
    *((name, "redis") for name in INVENTORIES),
    *((order, inventory) for order in ORDERS for inventory in INVENTORIES),
)


@dataclass(frozen=True)
class Operation:
    """Something that somebody asks for; *order* is the number of the order that it is about."""

    at: float
    kind: str
    order: int
    customer: str
    lines: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        basket = " ".join(f"{quantity} {product}" for product, quantity in self.lines)
        return f"{self.at:6.2f} {self.kind} #{self.order} of {self.customer} {basket}".rstrip()


@dataclass(frozen=True)
class Fault:
    """Something that breaks at *at*, and is mended *seconds* later."""

    at: float
    kind: str
    target: str
    seconds: float
    other: str = ""

    def __str__(self) -> str:
        other = f" -> {self.other}" if self.other else ""
        return f"{self.at:6.2f} {self.kind} {self.target}{other} for {self.seconds:.1f} s"


@dataclass(frozen=True)
class Plan:
    """All of a run that its seed decides before it begins; who runs next is decided as it goes."""

    seed: int
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...]
    resets: float

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {len(self.operations)} operations, {len(self.faults)} faults"]
        lines += [str(each) for each in sorted([*self.operations, *self.faults], key=lambda each: each.at)]
        return "\n".join(lines)


def draw(seed: int, *, operations: int) -> Plan:
    """
    Return the plan of *seed*.
    """
    rng = random.Random(seed)
    resets = rng.choice((0.0, 0.0, 0.003, 0.02))
    rushes = [rng.uniform(BEGIN_S, END_S - 2) for _ in range(rng.randrange(3, 12))]
    faults = sorted((_fault(rng, rushes) for _ in range(rng.randrange(0, 9))), key=lambda each: each.at)
    asked = _operations(rng, rushes, operations)
    # Drawn apart, so that what else a seed has happen does not depend on them.
    erasures = _erasures(random.Random(f"erasures {seed}"), rushes)
    return Plan(seed, (*asked, *erasures), tuple(faults), resets)


def _erasures(rng: random.Random, rushes: list[float]) -> list[Operation]:
    times = (_time(rng, rushes, 1.0) for _ in range(rng.choice((0, 1, 3))))
    return [Operation(at, "erase", number, rng.choice(CUSTOMERS)) for number, at in enumerate(times)]


def _time(rng: random.Random, rushes: list[float], spread_s: float) -> float:
    """
    Return a time, mostly in a rush: races need company.
    """
    if rng.random() < 0.2:
        return rng.uniform(BEGIN_S, END_S - 1)
    return min(END_S - 1, rng.choice(rushes) + rng.expovariate(1 / spread_s))


def _operations(rng: random.Random, rushes: list[float], count: int) -> list[Operation]:
    done: list[Operation] = []
    orders: list[Operation] = []
    spread_s = rng.choice((0.02, 0.1, 0.5))
    times = sorted(_time(rng, rushes, spread_s) for _ in range(count))
    for at in times:
        kind = rng.choices(("place", "repeat", "cancel", "fulfil", "restock"), (55, 12, 16, 9, 8))[0]
        if kind == "restock":
            line = (rng.choice(list(PRODUCTS)), rng.randrange(1, 13))
            done.append(Operation(at, kind, len(done), "op", (line,)))
        elif kind == "place" or not orders:
            products = rng.sample(list(PRODUCTS), rng.choice((1, 1, 1, 2, 3)))
            lines = tuple((product, rng.randrange(1, 4)) for product in products)
            orders.append(Operation(at, "place", len(orders), rng.choice(CUSTOMERS), lines))
            done.append(orders[-1])
        else:
            # Mostly about what is new: that is where races are.
            about = orders[-1 - min(int(rng.expovariate(0.4)), len(orders) - 1)]
            done.append(Operation(at, kind, about.order, about.customer, about.lines if kind == "repeat" else ()))
    return done


def _fault(rng: random.Random, rushes: list[float]) -> Fault:
    at = _time(rng, rushes, 0.1)
    kind = rng.choice(("kill", "kill", "freeze", "cut", "cut", "cut", "stop", "stop", "empty", "skew"))
    seconds = rng.choice((0.05, 0.5, 2.0, 8.0, 15.0)) * (0.5 + rng.random())
    if kind == "cut":
        source, target = rng.choice(LINKS)
        if rng.random() < 0.5:
            source, target = target, source
        return Fault(at, kind, source, seconds, other=rng.choice((target, f"{target} and back")))
    if kind == "stop":
        return Fault(at, kind, rng.choice(("postgres", "redis", "kafka")), seconds)
    if kind == "empty":
        return Fault(at, kind, "redis", min(seconds, 2.0))
    if kind == "skew":
        return Fault(at, kind, rng.choice((*REPLICAS, "postgres", "redis")), seconds)
    return Fault(at, kind, rng.choice(REPLICAS), seconds)
