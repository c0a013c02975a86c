"""
Starts a stack of its own, loses each of its stores for good, and prints RPO and RTO of each.

    python -m chaos.drill [--only postgres,kafka,redis] [--report FILE] [--record]

Which stack is read from the environment. Exits with 1 and a sentence at the first promise that is not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from chaos.drill import page
from chaos.drill.customers import Customers
from chaos.drill.failures import DrillFailed
from chaos.drill.losses import LOSSES, Drill
from chaos.drill.measured import Measured, shown, write
from runtime.errors import Error
from shop_client import rest
from shop_client.plain import Plain
from stack import customer, settings
from stack.commands import clean, up
from stack.describe import describe
from stack.errors import StackError
from stack.progress import Progress
from stack.run import end, state
from stack.settings import CHECKOUT, Settings
from stack.topology import system

LIMIT_S = 1200
UNITS = 5000
PRODUCT = "products/enamel-mug"


def main() -> None:
    """
    Run the drill that the command line names.
    """
    parser = argparse.ArgumentParser(prog="make drill", description="Loses stores for good and brings them back.")
    parser.add_argument("--only", default=",".join(LOSSES), help=f"which losses, of {', '.join(LOSSES)}")
    parser.add_argument("--report", type=Path, help="the file for what was measured, as JSON")
    parser.add_argument("--record", action="store_true", help="write it to docs/drill.json and docs/sre.md as well")
    options = parser.parse_args()
    found: list[Measured] = []
    try:
        drill(settings.read(os.environ, checkout=CHECKOUT), _chosen(options.only), found)
    except (StackError, Error, OSError, TimeoutError) as error:
        sys.exit(f"drill: {error}")
    except KeyboardInterrupt:
        sys.exit("drill: interrupted")
    finally:
        if found:
            print(f"\n{shown(found)}")
    if options.report is not None:
        write(options.report, found)
        print(f"Measured figures are in {options.report}")
    if options.record:
        page.record(found)


def _chosen(only: str) -> list[str]:
    names = only.split(",")
    if unknown := [name for name in names if name not in LOSSES]:
        raise DrillFailed(f"--only={only}: {', '.join(map(repr, unknown))} is not one of {', '.join(LOSSES)}")
    return names


def drill(own: Settings, names: Sequence[str], found: list[Measured]) -> None:
    """
    Run the losses *names* on the stack *own*, which is new, and removed afterwards except for its logs.

    What was measured is added to *found* after each.
    """
    progress = Progress()
    with _limited(LIMIT_S), _stack(own, progress), _customers(own) as customers:
        one = Drill(own, customers, progress)
        for name in names:
            measured = LOSSES[name](one)
            found.append(measured)
            progress.say(f"drill: {measured.loss}: orders were confirmed again after {measured.rto_s:.0f} s")


@contextlib.contextmanager
def _customers(own: Settings) -> Iterator[Customers]:
    operator = Plain(own.edge_url, customer.token(own, "drill-operator", operator=True))
    answer = rest.restock(operator, PRODUCT, UNITS)
    if answer.status_code != 200:
        raise DrillFailed(f"units do not come in: {answer}")
    client = Plain(own.edge_url, customer.token(own, "drill"), timeout_s=5)
    with Customers(client, PRODUCT, prefix=f"drill-{uuid.uuid4().hex[:8]}") as customers:
        yield customers


@contextlib.contextmanager
def _stack(own: Settings, progress: Progress) -> Iterator[None]:
    """
    Start a new stack; stop it in the end, and remove all but its logs.
    """
    _remove(own, progress)
    try:
        up.up(own, progress)
        yield
    finally:
        _remove(own, progress)


def _remove(own: Settings, progress: Progress) -> None:
    if state.exists(own):
        end.down(own, system.steps(describe(own)), progress)
        clean.clean(own, keep=("log",))


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """
    Raise `DrillFailed` in the main thread after *seconds*.
    """

    def late(_number: int, _frame: FrameType | None) -> None:
        raise DrillFailed(f"the drill was not over after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
