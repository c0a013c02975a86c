"""
Compare this checkout's stack with the naive one beside it, in one run of interleaved rounds.

python -m bench.versus [--rounds N] [--seconds N] [--connections N] [--json FILE]

This checkout's stack is the environment's, and must be running; the naive one is temporary.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import load, outage, quick, running
from bench.command import command
from bench.load import Load, Measured
from bench.outage import Outage
from bench.peer.running import running as peer_running
from bench.target import Target
from stack import settings
from stack.progress import Progress
from stack.settings import CHECKOUT, Settings

PORTS_APART = 200
IDLE_S = 5
OURS, PEER = "ours", "peer"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rounds of both, the outage of each, and the idle CPU use of each."""

    rounds: Sequence[Measured]
    outages: Sequence[Outage]
    idle_cpu_s: dict[str, float]


def main() -> None:
    """
    Start the naive stack, measure both, and print the results.
    """
    options = _options()
    wanted = Load(connections=options.connections, seconds=options.seconds)
    with command():
        mine = settings.read(os.environ, checkout=CHECKOUT)
        ours = running.prepare(OURS, str(mine.state), str(mine.port))
        with peer_running(beside(mine), Progress()) as naive:
            result = compare([ours, naive], wanted, rounds=options.rounds)
    print(table(result))
    if options.json:
        Path(options.json).write_text(json.dumps(document(result), indent=2) + "\n")


def beside(mine: Settings) -> Settings:
    """
    Return the settings of the stack whose stores the naive one uses.
    """
    environment = {**os.environ, "STATE": f"{mine.state}-peer", "PORT": str(mine.port + PORTS_APART), "NETWORK": ""}
    return settings.read({**environment, "TRACES": "0"}, checkout=CHECKOUT)


def compare(targets: Sequence[Target], wanted: Load, *, rounds: int) -> Comparison:
    """
    Return *rounds* interleaved rounds, then one outage of each.
    """
    idle = idle_cpu_s(targets)
    measured = quick.measure(targets, wanted, rounds=rounds)
    outages = [outage.measure(target, wanted) for target in targets]
    return Comparison(rounds=measured, outages=outages, idle_cpu_s=idle)


def idle_cpu_s(targets: Sequence[Target]) -> dict[str, float]:
    """
    Return the CPU seconds per second of each without load.
    """
    before = [target.parts.cpu_s() for target in targets]
    time.sleep(IDLE_S)
    after = [target.parts.cpu_s() for target in targets]
    spent = [sum(load.used(*each).values()) / IDLE_S for each in zip(before, after, strict=True)]
    return {target.name: each for target, each in zip(targets, spent, strict=True)}


def ratios(rounds: Sequence[Measured], field: str) -> list[float]:
    """
    Return the ratio of ours to the peer's value in each round.
    """
    ours, theirs = ([getattr(each, field) for each in rounds if each.stack == name] for name in (OURS, PEER))
    return [mine / other for mine, other in zip(ours, theirs, strict=True) if other]


def table(result: Comparison) -> str:
    """
    Return both side by side; the ratio is the last line.
    """
    idle = ", ".join(f"{name} {seconds:.2f}" for name, seconds in result.idle_cpu_s.items())
    lines = [quick.table(result.rounds, (OURS, PEER)), "", "inventory dead"]
    lines += [_outage(each) for each in result.outages]
    lines += ["", f"CPU seconds a second while nobody calls: {idle}", last_line(result)]
    return "\n".join(lines)


def last_line(result: Comparison) -> str:
    """
    Return the ratios of paired rounds: their median, and the lowest and the highest.
    """
    named = {"orders/s": "orders_per_s", "CPU seconds per 1,000 orders": "cpu_sum_s", "p99": "p99_ms"}
    summary = [f"{_ratio(ratios(result.rounds, field))} the {name}" for name, field in named.items()]
    return f"ours / peer: {', '.join(summary)}"


def document(result: Comparison) -> dict[str, object]:
    """
    Return everything as JSON.
    """
    fields = {"orders/s": "orders_per_s", "cpu": "cpu_sum_s", "p50": "p50_ms", "p99": "p99_ms"}
    return {
        "rounds": [{**asdict(each), "cpu_sum_s": each.cpu_sum_s} for each in result.rounds],
        "outages": [asdict(each) for each in result.outages],
        "idle_cpu_s": result.idle_cpu_s,
        "ratios": {name: ratios(result.rounds, field) for name, field in fields.items()},
    }


def _ratio(values: Sequence[float]) -> str:
    return quick.spread(values) if values else "?"


def _outage(each: Outage) -> str:
    measured = each.load
    return (
        f"  {measured.stack:<6}{measured.orders_per_s:7.0f} orders/s, p50 {measured.p50_ms:.0f} ms, "
        f"p99 {measured.p99_ms:.0f} ms, {measured.cpu_sum_s:.2f} CPU s per 1,000, "
        f"{measured.pending} of {measured.orders} pending; "
        f"a backlog of {each.backlog} drained in {each.drain_s:.1f} s ({each.drained_per_s:.0f}/s)"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="This checkout's stack and the naive one, under the same load in turn."
    )
    quick.add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
