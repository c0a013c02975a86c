"""
Compare running stacks, such as two commits, in one run of interleaved rounds.

python -m bench.quick [--rounds N] [--seconds N] [--batch N] [--json FILE] NAME=STATE:PORT...

Every round puts the same load on one stack after the other, so that other activity of the machine affects them alike.
Prints medians and spreads, without pass criteria.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.command import command
from bench.load import Load, Measured, run, warm
from bench.running import prepare
from bench.target import Target

MAX_S = 60
MAX_ROUNDS = 50


def main() -> None:
    """
    Measure the stacks of the command line.
    """
    parser = argparse.ArgumentParser(description="The same load on several running stacks, in turn.")
    parser.add_argument("stacks", nargs="+", type=_stack, metavar="NAME=STATE:PORT")
    add_options(parser)
    add_batch(parser)
    options = parser.parse_args()
    with command():
        compare(options.stacks, options)


def compare(places: Sequence[tuple[str, str, str]], options: argparse.Namespace) -> None:
    """
    Measure the stacks in *places*, each (name, state, port), with *options*, and print the table.
    """
    stacks = [prepare(*each) for each in places]
    load = Load(connections=options.connections, seconds=options.seconds, batch=options.batch)
    rounds = measure(stacks, load, rounds=options.rounds)
    print(table(rounds, [each.name for each in stacks]))
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(each) for each in rounds], indent=2) + "\n")


def measure(stacks: Sequence[Target], load: Load, *, rounds: int) -> list[Measured]:
    """
    Return *rounds* rounds on each of *stacks*, after a warm-up round.
    """
    measured = []
    for stack in stacks:
        print(f"warming {stack.name}", file=sys.stderr, flush=True)
        warm(stack, load)
    for number in range(1, rounds + 1):
        # The order alternates from round to round.
        for stack in stacks if number % 2 else reversed(stacks):
            measured.append(run(stack, load))
            _say(number, rounds, measured[-1])
    return measured


def _say(number: int, rounds: int, result: Measured) -> None:
    figures = f"{result.orders_per_s:.0f} orders/s, {result.cpu_sum_s:.2f} CPU s per 1,000"
    line = f"round {number}/{rounds} {result.stack}: {figures}"
    print(f"{line}, load average {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)


def table(rounds: Sequence[Measured], names: Sequence[str]) -> str:
    """
    Return the medians of every stack, with the spread of the rounds.
    """
    by_name = {name: [each for each in rounds if each.stack == name] for name in names}
    parts = sorted({part for each in rounds for part in each.cpu_s})
    rows = [("", *names)]
    rows += [
        (title, *(spread([getattr(each, field) for each in by_name[name]]) for name in names))
        for title, field in (
            ("orders/s", "orders_per_s"),
            ("p50 ms", "p50_ms"),
            ("p99 ms", "p99_ms"),
            ("p99.9 ms", "p999_ms"),
            ("drained in s", "drain_s"),
            ("WAL bytes per order", "wal_bytes"),
            ("Kafka bytes per order", "kafka_bytes"),
            ("CPU s per 1,000 orders", "cpu_sum_s"),
        )
    ]
    rows += [
        (f"  {part}", *(spread([each.cpu_s.get(part, 0.0) for each in by_name[name]]) for name in names))
        for part in parts
    ]
    rows += [
        (title, *(str(sum(getattr(each, field) for each in by_name[name])) for name in names))
        for title, field in (("orders", "orders"), ("pending", "pending"), ("refused", "refused"), ("broken", "broken"))
    ]
    return "\n".join(f"{row[0]:<24}" + "".join(f"{cell:>32}" for cell in row[1:]) for row in rows)


def spread(values: Sequence[float]) -> str:
    """
    Return the median of *values* with their spread.
    """
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _stack(text: str) -> tuple[str, str, str]:
    name, _, place = text.partition("=")
    state, _, port = place.rpartition(":")
    if not (name and state and port.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=STATE:PORT")
    return name, state, port


def add_options(parser: argparse.ArgumentParser) -> None:
    """
    Add the options for what is measured to *parser*.
    """
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, MAX_ROUNDS + 1), metavar="N")
    parser.add_argument("--seconds", type=int, default=8, choices=range(1, MAX_S + 1), metavar="N")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", help="a file for all rounds")


def add_batch(parser: argparse.ArgumentParser) -> None:
    """
    Add the option for orders per call to *parser*.
    """
    parser.add_argument("--batch", type=int, default=0, help="orders in a call; 0: one by one")


if __name__ == "__main__":
    main()
