"""One run: the plan of a seed happens, then everything is put right, and then nothing may be left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import warnings
from dataclasses import dataclass

from tests.simulation.breaking import Breaking
from tests.simulation.invariants import Violated
from tests.simulation.loop import Endless, Loop, running
from tests.simulation.plan import END_S, Plan
from tests.simulation.trace import recorded
from tests.simulation.virtual import virtual
from tests.simulation.world import World

OPERATIONS = 150
SETTLE_S = 180.0
"""Everything that can be on its way has arrived after this time without faults."""
LOOK_S = 2.0


@dataclass(frozen=True)
class Result:
    """How a run ended: *problem* is None if all is well."""

    plan: Plan
    problem: str | None
    digest: str
    lines: tuple[str, ...]
    steps: int
    virtual_s: float


def run(plan: Plan) -> Result:
    """
    Run *plan*; the same plan gives the same result, to the last line.
    """
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    gc.disable()
    try:
        with warnings.catch_warnings(), running(random.Random(f"order {plan.seed}")) as loop:
            warnings.simplefilter("ignore")
            rng = random.Random(f"chance {plan.seed}")
            with virtual(loop, rng):
                return _run(plan, loop, rng)
    finally:
        # Here, and not in the midst of the next run, whatever is left of this one ends.
        gc.collect(1)
        gc.enable()
        sys.unraisablehook = before


def _run(plan: Plan, loop: Loop, rng: random.Random) -> Result:
    asyncio.events._set_running_loop(None)
    world = World(plan, loop, rng)
    problem = None

    def look() -> None:
        if world.trace.faults:
            raise Violated(f"unexpected: {world.trace.faults[0]}")
        if world.invariants.violation is not None:
            raise Violated(world.invariants.violation)

    loop.after_step = look
    with recorded(world.trace), world.in_force():
        try:
            loop.run_until_complete(_happen(world))
        except (Violated, Endless) as error:
            problem = str(error)
        lines, digest, steps = tuple(world.trace.lines), world.trace.digest(), loop.steps
        loop.end_all()
    return Result(plan, problem, digest, lines, steps, loop.time())


async def _happen(world: World) -> None:
    await world.begin()
    world.network.faulty, world.network.resets = True, world.plan.resets
    breaking = Breaking(world)
    users = [asyncio.create_task(_at(each.at, world.use(each))) for each in world.plan.operations]
    faults = [asyncio.create_task(breaking.happen(each)) for each in world.plan.faults]
    await asyncio.sleep(END_S)
    for fault in faults:
        fault.cancel()
    breaking.mend_all()
    world.network.faulty = False
    world.trace.note("-", "everything is put right")
    await asyncio.wait(users)
    await _settle(world)
    world.invariants.in_the_end()


async def _at(when: float, work: object) -> None:
    await asyncio.sleep(when - asyncio.get_running_loop().time())
    await work  # type: ignore[misc]


async def _settle(world: World) -> None:
    end = asyncio.get_running_loop().time() + SETTLE_S
    while left := world.invariants.pending():
        if asyncio.get_running_loop().time() > end:
            world.invariants.fail(f"{SETTLE_S:g} s after the faults: {'; '.join(left[:5])}")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)
        await asyncio.sleep(LOOK_S)
