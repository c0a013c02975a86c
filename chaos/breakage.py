"""
A schedule of faults drawn from a seed: processes killed with SIGKILL, stores stopped and started.

It uses the stack's own commands, so the faults are those that a person can cause.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from chaos.commands import FaultNotMade
from chaos.commands import run as _command

REPLICAS = ("orders-0", "orders-1", "inventory-0", "inventory-1")
# Stands for the replica that leads PostgreSQL at the time of the fault.
LEADER = "postgres-leader"
PATRONI_LIMIT_S = 5
LEADER_LIMIT_S, LEADER_POLL_S = 60, 1
Say = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """A fault injected *after_s* seconds of load, and reverted *for_s* seconds later."""

    after_s: float
    target: str
    action: str
    for_s: float


def draw(seed: int, *, within_s: float, kills: int) -> list[Fault]:
    """
    Return *kills* kills of random replicas, a 20 s outage of Kafka, a kill of PostgreSQL's leader and a restart of
    Redis.

    They are ordered by time.
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
    Inject *faults* at their times; return when the last one is reverted.

    The first that cannot be injected or reverted raises `FaultNotMade`, because a run without it would prove nothing.
    *patroni* lists the addresses at which PostgreSQL's members can be asked for the leader, `HOST:PORT` each. If
    cancelled, it still reverts its faults.
    """
    started = time.monotonic()
    # A part that is down already is brought back before the next fault hits it.
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
    Return the leader, waiting for a running election.
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
    raise LookupError(f"no member of PostgreSQL at {', '.join(patroni)} knows the leader")


async def roles(patroni: Sequence[str]) -> dict[str, str]:
    """
    Return each member's role according to the first member that answers: `leader`, `sync_standby` or `replica`.
    """
    return {member["name"]: member["role"] for member in await members(patroni)}


async def members(patroni: Sequence[str], *, ask_s: float = PATRONI_LIMIT_S) -> list[dict[str, Any]]:
    """
    Return the members, each with `name`, `role` and `state`, according to the first of *patroni* that answers in
    *ask_s*; none if nobody does.
    """
    async with httpx.AsyncClient(timeout=ask_s, trust_env=False) as client:
        for address in patroni:
            try:
                found: list[dict[str, Any]] = (await client.get(f"http://{address}/cluster")).json()["members"]
            except (httpx.HTTPError, ValueError, KeyError):
                continue
            return found
    return []


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
