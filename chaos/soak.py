"""
Places orders for some minutes while parts of the system are killed, then verifies every guarantee.

    python -m chaos.soak [--orders N] [--workers N] [--kills N] [--seed N]

Prints a table and exits with 1 if a guarantee is violated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc

from chaos import breakage, truth
from chaos.buyers import Buyers
from chaos.commands import FaultNotMade
from chaos.guarantees import MAX_SHOWN, Facts, Verdict, verdicts
from chaos.restock import restock
from chaos.truth import NotRead
from stack import customer, settings
from stack.describe import describe

CHECKOUT = Path(__file__).resolve().parents[1]
SETTLE_LIMIT_S = 120
PROGRESS_S = 5


def main() -> None:
    """
    Run the soak test with the command line's options.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--orders", type=int, default=50_000, help="orders to place (50000)")
    parser.add_argument("--workers", type=int, default=64, help="concurrent buyers (64)")
    parser.add_argument("--kills", type=int, default=8, help="kills (SIGKILL) of random replicas (8)")
    parser.add_argument("--seconds", type=float, default=90, help="seconds over which the faults are spread (90)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    options = parser.parse_args()
    print(f"seed {options.seed}: pass it as --seed for the same load and the same faults")
    try:
        sys.exit(asyncio.run(_soak(options)))
    except (FaultNotMade, NotRead) as error:
        sys.exit(f"soak: the run proves nothing: {error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("soak: interrupted; all faults are reverted")
    except grpc.aio.AioRpcError as error:
        sys.exit(f"soak: the edge rejects the first call: {error.code().name}: {error.details()}")


async def _soak(options: argparse.Namespace) -> int:
    # As Ctrl-C, so that faults are reverted.
    interrupted = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.cancel)  # type: ignore[union-attr]
    chosen = settings.read(os.environ, checkout=CHECKOUT)
    edge = f"127.0.0.1:{chosen.port}"
    products = await restock(edge, customer.metadata(chosen, "chaos", operator=True), units=options.orders)
    buyers = Buyers(
        edge,
        # One customer alone would be held at the 200 calls a second that the edge lets each have.
        customers=[customer.metadata(chosen, f"soak-{options.seed}-{number}") for number in range(options.workers)],
        products=products,
        seed=options.seed,
    )
    started = time.monotonic()
    say = _sayer(started)
    faults = breakage.draw(options.seed, within_s=options.seconds, kills=options.kills)
    patroni = [str(address) for address in describe(chosen).patroni]
    breaking = asyncio.create_task(breakage.run(faults, patroni, say))
    buying = asyncio.create_task(buyers.buy(options.orders))
    buying.add_done_callback(lambda _: say("the buyers are done; waiting for the last faults and the last orders"))
    async with _progress(buyers, options.orders, say):
        await _both(buying, breaking)
    seconds = time.monotonic() - started
    facts = await _facts(chosen, buyers, edge)
    return _report(verdicts(facts), buyers, seconds)


async def _both(buying: asyncio.Task[None], breaking: asyncio.Task[None]) -> None:
    """
    Run both; if one fails or the run is interrupted, cancel what still runs, and end once its faults are reverted.
    """
    both = (buying, breaking)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in both:
            task.cancel()
        for outcome in await asyncio.gather(*both, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


def _sayer(started: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f}s] {text}", flush=True)

    return say


@contextlib.asynccontextmanager
async def _progress(buyers: Buyers, orders: int, say: Callable[[str], None]) -> AsyncIterator[None]:
    async def report() -> None:
        before = 0
        while True:
            await asyncio.sleep(PROGRESS_S)
            ended = buyers.memory.ended
            say(f"{ended} of {orders} orders, {(ended - before) / PROGRESS_S:.0f}/s")
            before = ended

    task = asyncio.create_task(report())
    try:
        yield
    finally:
        task.cancel()


async def _facts(chosen: settings.Settings, buyers: Buyers, edge: str) -> Facts:
    plan = describe(chosen)
    pending, waiting = await truth.settled(plan.database_url, within_s=SETTLE_LIMIT_S)
    if pending or waiting:
        print(f"after {SETTLE_LIMIT_S} s {pending} orders are pending, {waiting} events not published")
    orders, counted, stock = await truth.stored_and_stock(plan.database_url, edge, within_s=SETTLE_LIMIT_S)
    events = await asyncio.to_thread(truth.published, plan.kafka_brokers)
    return Facts(buyers.memory, orders, events, stock, counted)


def _report(found: list[Verdict], buyers: Buyers, seconds: float) -> int:
    memory = buyers.memory
    print(
        f"\n{memory.ended} orders in {seconds:.0f} s: {len(memory.acknowledged)} acknowledged, "
        f"{memory.refused} refused, {len(memory.cancelled)} cancelled, {len(memory.given_up)} given up; "
        f"{memory.failed_calls} of {memory.calls} calls failed and were retried; "
        f"the longest time without an order acknowledged was {memory.longest_silence_s:.1f} s\n"
    )
    print(f"{'guarantee':<40}{'checked':>9}{'broken':>8}")
    for verdict in found:
        print(f"{verdict.guarantee:<40}{verdict.checked:>9}{len(verdict.broken):>8}")
        for example in verdict.broken[:MAX_SHOWN]:
            print(f"    {example}")
    return 1 if any(verdict.broken for verdict in found) else 0


if __name__ == "__main__":
    main()
