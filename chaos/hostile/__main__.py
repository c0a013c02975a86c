"""
Attacks the running stack while a bystander places orders, and reports which attacks affected the bystander.

    python -m chaos.hostile [--rows NAME,NAME] [--seconds N] [--seed N]

Prints a table and exits with 1 if a criterion is violated: 99.9 % of the bystander's calls succeed, 99 % within 500
ms, no replica is ejected, nothing restarts, no event loop is blocked for over 50 ms, no process takes over 32 MiB, and
memory use is back to normal within a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from pathlib import Path

from chaos.hostile.rows import ROWS, chosen
from chaos.hostile.runner import HEADER, Outcome, Runner, line
from stack import settings

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """
    Run the attacks that the command line asks for.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--rows", default="", help="names or prefixes, separated by commas; all rows without it")
    parser.add_argument("--seconds", type=float, default=5, help="duration of each attack (5)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    parser.add_argument("--list", action="store_true", help="list the rows and exit")
    options = parser.parse_args()
    if options.list:
        print("\n".join(row.name for row in ROWS))
        return
    try:
        rows = chosen(options.rows)
    except LookupError as error:
        sys.exit(str(error))
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"seed {options.seed}; {len(rows)} rows; load average {load:.0f} on {cores} cores (affects p99)")
    print(f"          {HEADER}", flush=True)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f}s] {text}", flush=True)

    runner = Runner(settings.read(os.environ, checkout=CHECKOUT), seconds=options.seconds, seed=options.seed, say=say)
    sys.exit(_report(asyncio.run(runner.run(rows))))


def _report(outcomes: list[Outcome]) -> int:
    print(f"\n{HEADER}")
    for outcome in outcomes:
        print(line(outcome))
    broken = {outcome.row: violations for outcome in outcomes if (violations := outcome.broken())}
    print(f"\n{len(outcomes) - len(broken)} of {len(outcomes)} rows met every criterion")
    for row, violations in broken.items():
        print(f"  {row}: {'; '.join(violations)}")
    return 1 if broken else 0


if __name__ == "__main__":
    main()
