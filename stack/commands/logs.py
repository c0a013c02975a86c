"""
`make logs`: the logs of some processes and tasks, merged by time, and the lines they write from now on.
"""

import argparse
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from stack.command_table import yes
from stack.commands import log_lines
from stack.commands import order as timeline
from stack.commands.log_lines import Line, Tail, Wanted
from stack.describe import describe
from stack.errors import StackError
from stack.run import supervisor
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.processes import Task

LINES = 100  # shown before the followed lines, unless SINCE is given
POLL_S = 0.2
ORDER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TRACE = re.compile(r"[0-9a-f]{32}")


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Show the logs of what SVC names."""
    named = _named(chosen, options.service)
    about = _about(chosen, options)
    # Searches look at the past, so following is off unless it is asked for.
    following = yes("FOLLOW", options.follow, default=not about)
    lines = log_lines.wanted(since=options.since, match=options.match, level=options.level, now=datetime.now(UTC))
    wanted = log_lines.about(lines, about)
    tails = [Tail(name, supervisor.log_file(chosen, name)) for name in named]
    found = history(chosen, named, wanted)
    for line in found if options.since or not following else deque(found, maxlen=LINES):
        _show(line, several=len(named) > 1)
    if following:
        _follow(chosen, tails, wanted)
    return 0


def _named(chosen: Settings, service: str) -> list[str]:
    """Return the processes and the tasks whose logs SVC names: one, or every replica of a service; all without it."""
    steps = system.steps(describe(chosen))
    if not service:
        return list(steps)
    # A task, such as orders-migrate, has a log of its last run.
    if isinstance(steps.get(service), Task):
        return [service]
    return [process.name for process in system.named(system.processes(steps), service)]


def _about(chosen: Settings, options: argparse.Namespace) -> list[str]:
    """
    Return the ids to look for with ORDER or TRACE: the order's own and those of its traces.

    Raises `StackError` for an invalid id.
    """
    order, trace = options.order.removeprefix("orders/"), options.trace
    if order and not ORDER.fullmatch(order):
        raise StackError(f"ORDER={options.order!r} is not an order id or name")
    if trace and not TRACE.fullmatch(trace):
        raise StackError(f"TRACE={trace!r} is not a trace id (32 hexadecimal digits)")
    return [part for part in (order, trace) if part] + (_traces_of(chosen, order) if order else [])


def _traces_of(chosen: Settings, order: str) -> list[str]:
    try:
        entries = timeline.ask(describe(chosen), order).get("entries", [])
    except StackError as error:
        # A stopped stack still has its logs.
        print(f"traces of the order are not included: {error}", file=sys.stderr)
        return []
    return sorted({entry["traceId"] for entry in entries if entry.get("traceId")})


def history(settings: Settings, names: Sequence[str], wanted: Wanted) -> Iterator[Line]:
    """Return the selected lines of everything that the processes and tasks of these names have written."""
    logs = [log_lines.read(name, log_lines.contents(supervisor.log_file(settings, name))) for name in names]
    return filter(wanted, log_lines.merged(logs))


def _follow(settings: Settings, tails: Sequence[Tail], wanted: Wanted) -> None:
    """Print new lines until interrupted, or until the stack is down and nothing is left to print."""
    goes_on = True
    while goes_on:
        goes_on = Supervisor(settings).runs()
        for line in filter(wanted, log_lines.merged([tail.lines() for tail in tails])):
            _show(line, several=len(tails) > 1)
        time.sleep(POLL_S if goes_on else 0)


def _show(line: Line, *, several: bool) -> None:
    print(f"{line.process:<18}{line.text}" if several else line.text, flush=True)
