"""
`make restore`: brings a stopped stack back to the orders as of a moment, as a whole, and starts it.

PostgreSQL decides what an order is; what the other stores have beyond that moment is made to follow: a stock generation
above every earlier one, consumers that pass over what was published before, pending orders on their way once more, and
an event that says from when on history was given up. Units that came in stay: the ledger of the stock is not rewound.
"""

import argparse
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime

from stack.commands import up
from stack.describe import prepare
from stack.errors import StackError
from stack.install import artifacts
from stack.progress import Progress
from stack.run import end, members, pgbackrest, restore, state, supervisor, write
from stack.run.lock import exclusive
from stack.run.start import Starter
from stack.settings import Settings
from stack.topology import system
from stack.topology.plan import Plan
from stack.topology.processes import Step
from stack.topology.workloads import service_environment

FIRST = ("etcd-0", "postgres-0", "redis-0", "kafka-format", "kafka-0")
PREPARED = ("orders-database", "postgres-settings", "orders-migrate", "inventory-migrate")
ORDERS_S = 300


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
        artifacts.contract(chosen, say=progress.say)
        steps = system.steps(plan)
        write.everything(plan, system.processes(steps))
        progress.say(f"PostgreSQL: restoring to {to.isoformat() if to else 'the end of the archived WAL'}")
        restored = restore.restore(plan, to)
        progress.say(f"PostgreSQL: restored; history after {_shown(restored.to)} is given up")
        supervisor.Supervisor(chosen).launch()
        try:
            _follow(plan, steps, restored, progress)
        except BaseException:
            end.down(chosen, steps, progress)
            raise
        restore.finished(chosen)
    up.up(chosen, progress)
    kind = pgbackrest.take(plan)
    progress.say(f"backup: {kind}, the first of the history that begins here")
    return restored


def _follow(plan: Plan, steps: Mapping[str, Step], restored: restore.Restored, progress: Progress) -> None:
    """Bring the other stores in line with PostgreSQL, before any service is started."""
    starter = Starter(settings=plan.settings, supervisor=supervisor.Supervisor(plan.settings), progress=progress)
    # The other member would begin a cluster of its own, were it there before this one leads.
    for names in (FIRST, ("postgres-1",), PREPARED):
        starter.run({name: steps[name] for name in names})
    words = ["orders_svc", "restored", f"--to={restored.to}", f"--at={restored.at}"]
    done = subprocess.run(
        [plan.tool("python"), "-m", *words],
        env={"PATH": "/usr/bin:/bin", **service_environment(plan, "orders", 0), "POD_NAME": "operator"},
        cwd=plan.settings.checkout,
        capture_output=True,
        text=True,
        timeout=ORDERS_S,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"the orders do not follow the restore: {(done.stdout + done.stderr).strip()[-1500:]}")
    progress.say(f"orders: {done.stdout.strip()}")


def _shown(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
