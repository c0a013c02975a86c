"""
Faults on a schedule, drawn from a seed: processes killed with SIGKILL, stores stopped and started.

They go through the stack's own commands, so what a person can do is what is done.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import httpx

from chaos.commands import FaultNotMade
from chaos.commands import run as _command

REPLICAS = ("orders-0", "orders-1", "inventory-0", "inventory-1")
# Whichever replica leads PostgreSQL when the fault happens.
LEADER = "postgres-leader"
PATRONI_LIMIT_S = 5
LEADER_LIMIT_S, LEADER_POLL_S = 60, 1
Say = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong *after_s* seconds of load, and is put right *for_s* later."""

    after_s: float
    target: str
    action: str
    for_s: float


def draw(seed: int, *, within_s: float, kills: int) -> list[Fault]:
    """
    Return *kills* kills of random replicas, Kafka stopped for 20 s, PostgreSQL's leader killed and Redis restarted.

    They are in order of time.
    """
    chance = random.Random(seed)  # noqa: S311 - a repeatable schedule, not a secret
    faults = [
        Fault(chance.uniform(2, within_s), chance.choice(REPLICAS), "kill", chance.uniform(0.5, 4))
        for _ in range(kills)
    ]
    faults.append(Fault(within_s * 0.3, "kafka", "stop", 20))
    faults.append(Fault(within_s * 0.55, LEADER, "kill", 10))
    faults.append(Fault(within_s * 0.75, "redis", "stop", 1))
    return sorted(faults, key=lambda fault: fault.after_s)


async def run(faults: list[Fault], patroni: Sequence[str], say: Say) -> None:
    """
    Let *faults* happen at their times; returns when the last is put right.

    The first that cannot be made, or put right, ends it with `FaultNotMade`: a run without it would prove nothing.

    *patroni* is where PostgreSQL's members can be asked who leads, `HOST:PORT` each. Cancelled in
    between, it still puts right what it broke.
    """
    started = time.monotonic()
    # A part that is broken already is put right before it breaks again.
    free: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    try:
        async with asyncio.TaskGroup() as running:
            for fault in faults:
                await asyncio.sleep(max(0.0, started + fault.after_s - time.monotonic()))
                known = replace(fault, target=await _known_leader(patroni)) if fault.target == LEADER else fault
                running.create_task(_happen(known, free[known.target], say))
    except BaseExceptionGroup as group:
        not_made, others = group.split(FaultNotMade)
        if not_made is None or others is not None:
            raise
        raise not_made.exceptions[0] from None


async def _known_leader(patroni: Sequence[str]) -> str:
    """
    Return the leader, waiting for one that is being elected.
    """
    until = time.monotonic() + LEADER_LIMIT_S
    while True:
        try:
            return await leader(patroni)
        except LookupError as error:
            if time.monotonic() > until:
                raise FaultNotMade(f"kill {LEADER} did not happen: {error}") from error
        await asyncio.sleep(LEADER_POLL_S)


async def leader(patroni: Sequence[str]) -> str:
    """
    Return the process that leads PostgreSQL; `LookupError` if no member says.
    """
    for name, role in (await roles(patroni)).items():
        if role == "leader":
            return name
    raise LookupError(f"no member of PostgreSQL at {', '.join(patroni)} knows a leader")


async def roles(patroni: Sequence[str]) -> dict[str, str]:
    """
    Return each member's role as the first that answers sees it: `leader`, `sync_standby` or `replica`.
    """
    async with httpx.AsyncClient(timeout=PATRONI_LIMIT_S, trust_env=False) as client:
        for address in patroni:
            try:
                members = (await client.get(f"http://{address}/cluster")).json()["members"]
            except (httpx.HTTPError, ValueError, KeyError):
                continue
            return {member["name"]: member["role"] for member in members}
    return {}


async def _happen(fault: Fault, free: asyncio.Lock, say: Say) -> None:
    async with free:
        say(f"{fault.action} {fault.target} for {fault.for_s:.1f} s")
        try:
            await _stack(fault.action, fault.target)
            await asyncio.sleep(fault.for_s)
        finally:
            await asyncio.shield(_stack("start", fault.target))


def _stack(action: str, target: str) -> Awaitable[str]:
    return _command(sys.executable, "-m", "stack", action, target)
