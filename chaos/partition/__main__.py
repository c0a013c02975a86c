"""
Cuts the network between two sides of a one-machine stack, until it is healed.

    chaos/network-partition.py --between orders --and postgres --for 20s [--one-way] [--loss 30%] [--delay 200ms]
    chaos/network-partition.py --list
    chaos/network-partition.py --heal [NAME]

PORT, NETWORK and STATE select the stack, as for every command. Needs root and nftables. A partition that this
command no longer renews, because it was killed, is lifted by the kernel within 8 s. A delay uses a proxy: it resets
the connections that are open when it begins and when it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from chaos.partition.delay import DelayProxy
from chaos.partition.filter import Filter, NotAllowed, cgroup_of
from chaos.partition.parts import NoSuchPart, apart, side
from chaos.partition.rules import Partition, made, renewed
from stack import settings
from stack.describe import describe
from stack.errors import StackError
from stack.run.running import require_running
from stack.settings import Settings
from stack.topology import system

CHECKOUT = Path(__file__).resolve().parents[2]
RENEW_S = 1.0
MAX_S, MAX_DELAY_MS = 3600, 60_000
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
IN_FORCE = "in force"


def main(words: list[str] | None = None) -> int:
    """Run the command line's command and return the exit code."""
    options = _parser().parse_args(words)
    try:
        chosen = settings.read(os.environ, checkout=CHECKOUT)
        packets = Filter(chosen)
        if options.list:
            return _list(packets)
        if options.heal is not None:
            healed = packets.heal(options.heal)
            print(f"healed: {', '.join(healed)}" if healed else "there is no partition")
            return 0
        return asyncio.run(_hold(chosen, packets, _partition(chosen, options), options.seconds))
    except (NotAllowed, NoSuchPart, StackError, ValueError, OSError) as error:
        print(f"network-partition: {error}", file=sys.stderr)
        return 1


def _list(packets: Filter) -> int:
    found = packets.partitions()
    for each in found:
        print(f"{each.name:<24} {each.description}{' (expired: no longer renewed)' if each.lapsed else ''}")
    if not found:
        print("there is no partition")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="network-partition.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--between", metavar="PARTS", help="one side: orders, orders-0, orders,inventory, …")
    parser.add_argument("--and", dest="other", metavar="PARTS", help="the other side")
    parser.add_argument("--for", dest="seconds", type=length, default=20.0, metavar="TIME", help="20s, 2m (20s)")
    parser.add_argument(
        "--one-way", action="store_true", help="cut only the direction from the first side to the other"
    )
    parser.add_argument("--loss", type=percent, default=100, metavar="PERCENT", help="packet loss (100%%)")
    parser.add_argument(
        "--delay", type=length, default=0.0, metavar="TIME", help="delay packets instead of dropping them"
    )
    parser.add_argument("--name", default="", help="the name for --list and --heal")
    parser.add_argument("--list", action="store_true", help="list the partitions")
    parser.add_argument("--heal", nargs="?", const="", default=None, metavar="NAME", help="heal this one, or all")
    return parser


def length(text: str) -> float:
    """Return the seconds of `200ms`, `20s`, `2m` or `20`."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 20s or 200ms")
    return float(found[1]) * UNITS[found[2] or "s"]


def percent(text: str) -> int:
    """Return the number of `30%` or `30`."""
    found = re.fullmatch(r"(\d{1,3})%?", text)
    if not found or not 1 <= int(found[1]) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1% to 100%")
    return int(found[1])


def _partition(chosen: Settings, options: argparse.Namespace) -> Partition:
    if not options.between or not options.other:
        raise NoSuchPart("both sides are needed: --between orders --and postgres")
    if not 0 < options.seconds <= MAX_S or options.delay * 1000 > MAX_DELAY_MS:
        raise ValueError(f"a partition lasts at most {MAX_S} s, a delay {MAX_DELAY_MS} ms")
    processes = system.processes(system.steps(describe(chosen)))
    one, other = side(options.between, processes), side(options.other, processes)
    apart(one, other)
    require_running(chosen)
    name = options.name or re.sub(r"[^a-z0-9]+", "_", f"{one.text}_{other.text}")[:40]
    return Partition(name, one, other, options.one_way, options.loss, round(options.delay * 1000))


async def _hold(chosen: Settings, packets: Filter, partition: Partition, seconds: float) -> int:
    """Keep the partition in force for *seconds*, or until it is healed or this process is terminated."""
    cgroup = cgroup_of(chosen)
    for each in packets.partitions():
        if each.lapsed:
            # Remains of a command that was killed no longer cut anything.
            packets.heal(each.name)
        elif each.name == partition.name:
            raise ValueError(f"{each.name} exists already; --heal {each.name} ends it, --name chooses another name")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with _proxies(partition) as ports:
        packets.run(made(partition, network=chosen.network, cgroup=cgroup, proxies=ports))
        try:
            print(f"{partition.describe()}, {IN_FORCE} for {seconds:g} s", flush=True)
            healed = await _renew(chosen, packets, partition, stopped, time.monotonic() + seconds)
        finally:
            packets.heal(partition.name)
    print(f"{partition.name}: {'healed by another command' if healed else 'healed'}", flush=True)
    return 0


async def _renew(chosen: Settings, packets: Filter, partition: Partition, stopped: asyncio.Event, end: float) -> bool:
    """Renew the lease until *end* or until it is *stopped*; return whether another command healed the partition."""
    while not stopped.is_set() and time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), min(RENEW_S, max(0.0, end - time.monotonic())))
        try:
            await asyncio.to_thread(packets.run, renewed(partition, chosen.network))
        except OSError:
            return True
    return False


@contextlib.asynccontextmanager
async def _proxies(partition: Partition) -> AsyncIterator[tuple[int, int]]:
    """Yield the ports of the proxies that delay each side's connections; zero where there is no delay."""
    if not partition.delay_ms:
        yield (0, 0)
        return
    delay_s = partition.delay_ms / 1000
    # The first side sends on its own connections and in response on the other side's.
    response_s = 0.0 if partition.one_way else delay_s
    both = (
        DelayProxy(request_s=delay_s, response_s=response_s),
        DelayProxy(request_s=response_s, response_s=delay_s),
    )
    ports = [await each.start() for each in both]
    try:
        yield ports[0], ports[1]
    finally:
        for each in both:
            await each.stop()


if __name__ == "__main__":
    sys.exit(main())
