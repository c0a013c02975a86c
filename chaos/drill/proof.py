"""What must be true once the system is back."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Callable, Collection

from chaos import truth
from chaos.drill.failures import DrillFailed
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import messages_to_end
from stack.topology.plan import Plan
from stack.topology.workloads import operator_environment

RECONCILE_S = 180
POLL_S = 0.5
READ_S = 30.0
LEDGER = "stock_ledger"
SUMMARY = re.compile(r"(\d+) differences repaired, (\d+) left")


def wait(what: str, done: Callable[[], bool], *, within_s: float) -> None:
    """
    Wait until *done*; raises `DrillFailed` that names *what* after *within_s*.
    """
    end = time.monotonic() + within_s
    while not done():
        if time.monotonic() > end:
            raise DrillFailed(f"{what} not within {within_s:.0f} s")
        time.sleep(POLL_S)


def stored(plan: Plan) -> dict[str, str]:
    """
    Return the state of every order in PostgreSQL, by name.
    """

    async def read() -> dict[str, truth.StoredOrder]:
        return await truth.orders_in(plan.database_url)

    found = asyncio.run(read())
    return {name: order.state for name, order in found.items()}


def pending(plan: Plan) -> set[str]:
    """
    Return the orders that wait for their stock.
    """
    return {name for name, state in stored(plan).items() if state == "PENDING"}


def require_stored(plan: Plan, names: Collection[str]) -> None:
    """
    Raise `DrillFailed` unless every acknowledged order is there.
    """
    missing = sorted(set(names) - stored(plan).keys())
    if missing:
        raise DrillFailed(f"{len(missing)} acknowledged orders are gone, the first {missing[0]}")


def settle(plan: Plan, *, within_s: float) -> None:
    """
    Wait until no order is pending and no event waits to be published; raises `DrillFailed`.
    """
    left = asyncio.run(truth.settled(plan.database_url, within_s=within_s))
    if left != (0, 0):
        raise DrillFailed(f"after {within_s:.0f} s {left[0]} orders are pending and {left[1]} events not published")


def ledger(plan: Plan) -> set[bytes]:
    """
    Return the keys of what is in the stock's ledger: what was listed and what came in.
    """
    return {each.key for each in messages_to_end(KafkaCluster(plan.kafka_brokers), LEDGER, within_s=READ_S)}


def on_hand(edge: str) -> dict[str, int]:
    """
    Return the units on hand of each product.
    """

    async def read() -> dict[str, truth.StockNow]:
        return await truth.stock_at(edge)

    return {name: stock.on_hand for name, stock in asyncio.run(read()).items()}


def reconcile(plan: Plan) -> tuple[int, int]:
    """
    Compare everything; return how many differences were repaired and how many are left. Raises `DrillFailed`.
    """
    try:
        done = subprocess.run(
            [plan.tool("python"), "-m", "orders_svc", "reconcile"],
            env={"PATH": "/usr/bin:/bin", **operator_environment(plan)},
            cwd=plan.settings.checkout,
            capture_output=True,
            text=True,
            timeout=RECONCILE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DrillFailed(f"reconcile did not end within {RECONCILE_S} s") from error
    found = SUMMARY.search(done.stdout)
    if found is None or done.returncode != 0:
        raise DrillFailed(f"reconcile: {(done.stdout + done.stderr).strip()[-1500:]}")
    return int(found[1]), int(found[2])
