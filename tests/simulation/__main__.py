"""
Simulates the whole system, once for each seed.

    python -m tests.simulation --seeds 1000          two processes; the first failing seed is shrunk and printed
    python -m tests.simulation --seed 17             one seed, with its trace
    python -m tests.simulation --defects --seeds 1000   plant each defect, and tell which seed finds it first
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context

from tests.simulation.defects import DEFECTS
from tests.simulation.run import OPERATIONS, Result, run
from tests.simulation.shrink import Shrinking
from tests.simulation.trial import end_with, planted, simulated

SHOWN = 60
"""Lines of a trace, before what went wrong."""
AHEAD = 4
"""Seeds that are under way or wait for a process while the first of them is waited for."""


def main() -> int:
    """
    Do what the command line says; 1 if a seed failed, or a defect was not found.
    """
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=1000)
    options.add_argument("--first", type=int, default=1)
    options.add_argument("--seed", type=int)
    options.add_argument("--operations", type=int, default=OPERATIONS)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--defects", action="store_true")
    options.add_argument("--defect", choices=sorted(DEFECTS))
    chosen = options.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets are met in an order that depends on it.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    if chosen.seed is not None:
        return _one(chosen.seed, chosen.operations, chosen.defect)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    with ProcessPoolExecutor(
        chosen.jobs, get_context("spawn"), initializer=end_with, initargs=(os.getpid(),)
    ) as processes:
        if chosen.defects:
            return _table(processes, seeds, chosen)
        return _many(processes, seeds, chosen)


def _results(processes: ProcessPoolExecutor, work: Callable[[int], Result], seeds: Iterable[int]) -> Iterator[Result]:
    """
    Yield the results in the seeds' order, a few of them being worked on ahead.
    """
    coming = iter(seeds)
    waiting = [processes.submit(work, seed) for seed in islice(coming, AHEAD)]
    try:
        while waiting:
            yield waiting.pop(0).result()
            waiting += [processes.submit(work, seed) for seed in islice(coming, 1)]
    finally:
        for each in waiting:
            each.cancel()


def _one(seed: int, operations: int, defect: str | None) -> int:
    result = simulated(seed, operations=operations, defect=defect)
    print(result.plan)
    print("\n".join(result.lines))
    print(result.problem or f"seed {seed}: all is well, trace {result.digest}")
    return int(result.problem is not None)


def _many(processes: ProcessPoolExecutor, seeds: range, chosen: argparse.Namespace) -> int:
    begin, steps, virtual_s, done = time.monotonic(), 0, 0.0, 0
    work = partial(simulated, operations=chosen.operations, defect=chosen.defect)
    for result in _results(processes, work, seeds):
        if result.problem is not None:
            print(f"seed {result.plan.seed} FAILED: {result.problem}\nmaking it smaller", flush=True)
            _show(_shrunk(result, chosen.defect), chosen)
            return 1
        steps, virtual_s, done = steps + result.steps, virtual_s + result.virtual_s, done + 1
        if done % 100 == 0:
            print(f"{done} seeds, {time.monotonic() - begin:.0f} s", flush=True)
    took = time.monotonic() - begin
    print(
        f"{done} seeds of {chosen.operations} operations: all is well; "
        f"{virtual_s / 3600:.1f} hours and {steps / 1e6:.1f} million steps in {took:.0f} s"
    )
    return 0


def _shrunk(failed: Result, defect: str | None) -> Result:
    with planted(defect):
        return Shrinking(run, failed).shrink()


def _show(result: Result, chosen: argparse.Namespace) -> None:
    print(f"\nwhat is left of it: {result.plan}\n\nits last {SHOWN} lines:")
    print("\n".join(result.lines[-SHOWN:]))
    again = f"python -m tests.simulation --seed {result.plan.seed} --operations {chosen.operations}"
    print(f"\n{result.problem}\nall of it, before it was made smaller: {again}")


def _table(processes: ProcessPoolExecutor, seeds: range, chosen: argparse.Namespace) -> int:
    missed = 0
    print(f"{'defect':28} {'seed':>6}  found by", flush=True)
    for name in [chosen.defect] if chosen.defect else DEFECTS:
        work = partial(simulated, operations=chosen.operations, defect=name)
        found = next((each for each in _results(processes, work, seeds) if each.problem is not None), None)
        missed += found is None
        seed, problem = (found.plan.seed, found.problem or "") if found else ("-", "NOT FOUND")
        print(f"{name:28} {seed:>6}  {problem.splitlines()[0][:110]}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
