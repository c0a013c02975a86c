"""
Measure everything in one run: this checkout's stack, the naive one, and their limits.

python -m bench.whole [--only closed,rates,…] [--rounds N] [--seconds N] [--stored 1000,100000] [--out FOLDER]

This checkout's stack is the environment's, and must be running; the naive one is temporary. Writes `report.txt`,
`report.json` and `report.html`, without pass criteria.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench import quick, results, running, sections, versus
from bench.command import command
from bench.load import Load
from bench.page import page
from bench.peer.running import running as peer_running
from bench.results import Report, Section
from bench.sections import ALL, Bench
from stack import settings
from stack.errors import StackError
from stack.progress import Progress
from stack.settings import CHECKOUT

STORED = (1_000, 100_000)
MAX_STORED = 10_000_000
# An error of one table must not fail the others.
FAILED = (StackError, OSError, psycopg.Error, subprocess.SubprocessError)


def main() -> None:
    """
    Start the naive stack, measure, and write the report.
    """
    options = _options()
    progress, load = Progress(), Load(connections=options.connections, seconds=options.seconds)
    with command():
        mine = settings.read(os.environ, checkout=CHECKOUT)
        ours = running.prepare(versus.OURS, str(mine.state), str(mine.port))
        with peer_running(versus.beside(mine), progress) as peer:
            begun = facts(load, options.rounds)
            bench = Bench(ours, peer, load, options.rounds, options.stored, options.backlog, progress)
            finished = measure(bench, options.only)
    report = Report(begun, finished, sections.last_line(finished))
    folder = Path(options.out) if options.out else mine.state / "bench"
    write(report, folder)
    print(results.text(report))
    progress.say(f"the page: {folder / 'report.html'}")


def measure(bench: Bench, only: Sequence[str]) -> list[Section]:
    """
    Return the tables named in *only*, one after the other; a failed one says so.
    """
    finished: list[Section] = []
    for number, name in enumerate(only, 1):
        bench.progress.say(f"{number}/{len(only)} {name}")
        try:
            finished += ALL[name](bench)
        except FAILED as why:
            finished.append(Section(name, (), [], note=f"not measured: {why}"))
        bench.rest()
    return finished


def facts(load: Load, rounds: int) -> dict[str, str]:
    """
    Return the environment that the results depend on.
    """
    return {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cores": str(os.cpu_count()),
        "load average": f"{os.getloadavg()[0]:.1f}",
        "rounds": f"{rounds} of {load.seconds} s",
        "callers": str(load.connections),
        "Python": platform.python_version(),
        "kernel": platform.release(),
    }


def write(report: Report, folder: Path) -> None:
    """
    Write the report into *folder* as text, JSON and a page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.txt").write_text(results.text(report) + "\n", encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(results.document(report), indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(report), encoding="utf-8")


def _commit() -> str:
    command = ["/usr/bin/env", "git", "describe", "--always", "--dirty"]
    shown = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=10, check=False)
    return shown.stdout.strip() or "unknown"


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ALL]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(ALL)}")
    return names


def _counts(text: str) -> list[int]:
    counts = [int(each) for each in text.split(",") if each.isdecimal()]
    if not counts or max(counts) > MAX_STORED or len(counts) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a comma-separated list of numbers up to {MAX_STORED}")
    return sorted(counts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Everything that is measured, in one run.")
    parser.add_argument("--only", type=_names, default=list(ALL), help=f"some of {','.join(ALL)}")
    parser.add_argument("--stored", type=_counts, default=list(STORED), help="how many orders are stored already")
    parser.add_argument("--backlog", type=int, default=0, help="orders that wait when inventory is back, at least")
    parser.add_argument("--out", help="the report's folder; bench in the stack's without it")
    quick.add_options(parser)
    parser.set_defaults(seconds=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
