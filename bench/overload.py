"""
Places orders at the system's capacity, then at three times that rate, and compares.

    python -m bench.overload [--seconds N] [--workers N]

Capacity is the throughput of a fixed number of buyers who each wait for their response. Then orders arrive at three
times that rate in an open loop. Excess orders must be refused immediately, and accepted ones must not be slower than
the limit of calls in flight allows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from chaos.restock import restock
from shop_client.calls import Shop
from stack import customer, settings

CHECKOUT = Path(__file__).resolve().parents[1]
CALL_LIMIT_S = 10
FACTOR = 3


@dataclass
class Measured:
    """Latencies of calls in seconds, by result."""

    seconds: float
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def row(self, name: str) -> str:
        """
        Return one line of the table.
        """
        cells = [f"{len(self.accepted) / self.seconds:8.0f}", *map(_ms, _quantiles(self.accepted))]
        cells += [f"{len(self.refused):8}", *map(_ms, _quantiles(self.refused)), f"{len(self.failed):7}"]
        return f"{name:<22}" + " ".join(cells)


class Buyer:
    """Places one order after another."""

    def __init__(self, shop: Shop, products: list[str]) -> None:
        self._shop = shop
        self._products = products

    async def buy(self, number: int, measured: Measured) -> None:
        """
        Place order *number* and record the result.
        """
        product = self._products[number % len(self._products)]
        started = time.perf_counter()
        try:
            await self._shop.place({product: 1})
            measured.accepted.append(time.perf_counter() - started)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                measured.refused.append(time.perf_counter() - started)
            else:
                measured.failed.append(f"{error.code().name}: {error.details()}")


async def at_capacity(buyer: Buyer, *, workers: int, seconds: float) -> Measured:
    """
    Run *workers* buyers for *seconds*, each waiting for its response.
    """
    measured = Measured(seconds)
    end = time.perf_counter() + seconds

    async def work(number: int) -> None:
        while time.perf_counter() < end:
            await buyer.buy(number, measured)

    await asyncio.gather(*(work(number) for number in range(workers)))
    return measured


async def above_capacity(buyer: Buyer, *, rate: float, seconds: float) -> Measured:
    """
    Place orders at *rate* a second for *seconds*, in an open loop.
    """
    measured = Measured(seconds)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            group.create_task(buyer.buy(number, measured))
    return measured


def _quantiles(values: list[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:8.0f}"


async def _run(options: argparse.Namespace) -> None:
    chosen = settings.read(os.environ, checkout=CHECKOUT)
    edge = f"127.0.0.1:{chosen.port}"
    products = await restock(edge, customer.metadata(chosen, "bench", operator=True), units=100_000)
    metadata = customer.metadata(chosen, "bench")
    async with grpc.aio.insecure_channel(edge) as channel:
        buyer = Buyer(Shop(channel, metadata, timeout_s=CALL_LIMIT_S), products)
        await at_capacity(buyer, workers=options.workers, seconds=2)
        normal = await at_capacity(buyer, workers=options.workers, seconds=options.seconds)
        rate = FACTOR * len(normal.accepted) / normal.seconds
        flood = await above_capacity(buyer, rate=rate, seconds=options.seconds)
    print(
        f"{'':<22}{'orders/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'refused':>8} {'p50 ms':>8} {'p99 ms':>8} {'failed':>7}"
    )
    print(normal.row(f"{options.workers} buyers"))
    print(flood.row(f"offered {rate:.0f} orders/s"))
    for why, count in Counter(normal.failed + flood.failed).most_common():
        print(f"failed {count} times: {why}")


def main() -> None:
    """
    Measure the environment's stack.
    """
    parser = argparse.ArgumentParser(description="Orders at capacity, and at three times that rate.")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int, default=32)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
