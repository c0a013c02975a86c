"""One action on the deployed system under load, and its effect on customers."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable

from tests.cluster import pods
from tests.cluster.load import Load, Outcome, Shop, lost

RATE = 10
# The guaranteed mean time to recovery.
RECOVERY_LIMIT_S = 120
SETTLED_S = 240


async def experiment(shop: Shop, products: list[str], what: str, do: Callable[[], object]) -> Outcome:
    """Run *do* under load, continue until orders are acknowledged again, and look up every acknowledged order."""
    async with Load(shop, products, rate=RATE) as load:
        await load.flowing(within_s=60)
        fault = time.monotonic()
        await asyncio.to_thread(do)
        await asyncio.sleep(5)
        await load.flowing(count=5 * RATE, within_s=RECOVERY_LIMIT_S)
    outcome = Outcome(what, fault, load.attempts)
    outcome.lost = await lost(shop, outcome.acknowledged)
    return outcome


def check(outcome: Outcome, outcomes: list[Outcome]) -> None:
    """Add *outcome* to the table; no acknowledged order may be lost, and recovery has a limit."""
    outcomes.append(outcome)
    for each in outcome.failed[:5]:
        print(f"{outcome.what}: {each.started - outcome.fault:+.1f} s: {each.status} {each.answer}")
    assert outcome.lost == []
    assert outcome.recovery_s < RECOVERY_LIMIT_S


async def settled() -> None:
    """Wait until everything that an experiment removed is back."""
    for app, count in (("orders", 2), ("inventory", 2), ("edge", 2), ("postgres", 3), ("kafka", 3), ("redis", 1)):
        ready = functools.partial(pods.all_ready, app, count)
        await pods.until(ready, within_s=SETTLED_S, what=f"{app} is back")
    await pods.until(lambda: pods.copies() == 2, within_s=SETTLED_S, what="PostgreSQL has two copies again")
