"""
`make restore`: brings a stopped stack back to the orders as of a moment, as a whole, and starts it.

PostgreSQL decides what an order is; what the other stores have beyond that moment is made to follow: a stock generation
above every earlier one, consumers that pass over what was published before, pending orders on their way once more, and
an event that says from when on history was given up. Units that came in stay: the ledger of the stock is not rewound.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stack.commands import up
from stack.commands.summary import summary
from stack.describe import prepare
from stack.errors import StackError
from stack.progress import Progress
from stack.run import end, members, pgbackrest, restore, state, supervisor
from stack.run.lock import exclusive
from stack.run.start import Starter
from stack.settings import Settings
from stack.topology import workloads
from stack.topology.plan import Plan
from stack.topology.processes import Step, Task

FOLLOWED = "orders-restored"
FOLLOW_S = 300


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Restore, and start everything."""
    progress = Progress()
    state.require(chosen)
    to = moment(options.to, datetime.now(UTC))
    if supervisor.Supervisor(chosen).runs() or members.of_stack(chosen):
        raise StackError(f"the stack in {chosen.state} is running; run `{chosen.command('down')}` first")
    whole(chosen, to, progress)
    return 0


def moment(text: str, now: datetime) -> datetime | None:
    """Return the time that TO names, None for the latest; raises `StackError`."""
    if text == "latest":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise StackError(f"TO={text!r} is neither latest nor a time with its zone, as 2026-11-26T05:00:00Z")
    if found > now:
        raise StackError(f"TO={text} is in the future")
    return found.astimezone(UTC)


def whole(chosen: Settings, to: datetime | None, progress: Progress) -> restore.Restored:
    """Restore a stopped stack and start it; what was begun and not finished is taken up by the next try."""
    plan = prepare(chosen)
    with exclusive(chosen):
        steps = up.built(plan, progress)
        progress.say(f"PostgreSQL: restoring to {to.isoformat() if to else 'the end of the archived WAL'}")
        restored = restore.restore(plan, to)
        progress.say(f"PostgreSQL: restored; history after {_shown(restored.to)} is given up")
        supervisor.Supervisor(chosen).launch()
        before = before_serving(plan, steps, restored)
        try:
            Starter(settings=chosen, supervisor=supervisor.Supervisor(chosen), progress=progress).run(before)
        except BaseException:
            end.down(chosen, steps, progress)
            raise
        progress.say(f"orders: {_last_line(supervisor.log_file(chosen, FOLLOWED))}")
        # From here on orders are acknowledged, which a repeated restore could give up.
        restore.finished(chosen)
        done = {name for name, step in before.items() if isinstance(step, Task)}
        up.start(plan, {name: step for name, step in steps.items() if name not in done}, progress)
    print(summary(plan, progress.seconds()))
    kind = pgbackrest.take(plan)
    progress.say(f"backup: {kind}, the first of the history that begins here")
    return restored


def before_serving(plan: Plan, steps: Mapping[str, Step], restored: restore.Restored) -> dict[str, Step]:
    """
    Return what is started before any service: all but services and edge, and the task that makes the other stores
    follow PostgreSQL.

    The other members of PostgreSQL come after the first, or they would begin a cluster of their own.
    """
    services = {step.name for step in workloads.applications(plan)} | {workloads.EDGE}
    found = {name: step for name, step in steps.items() if name not in services}
    for member in plan.members[1:]:
        other = found[f"postgres-{member}"]
        found[other.name] = replace(other, after=other.after | {"postgres-0"})
    found[FOLLOWED] = Task(
        name=FOLLOWED,
        command=(plan.tool("python"), "-m", "orders_svc", "restored", f"--to={restored.to}", f"--at={restored.at}"),
        environment=workloads.operator_environment(plan),
        after=frozenset({"orders-migrate", "inventory-migrate"}),
        seconds=FOLLOW_S,
    )
    return found


def _last_line(log: Path) -> str:
    return next(reversed(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()), "")


def _shown(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
