"""
`make up`: installs and starts everything until the system accepts an order.
"""

import argparse
from collections.abc import Mapping

from stack.commands import edge, mesh_files
from stack.commands.summary import summary
from stack.describe import prepare
from stack.errors import StackError
from stack.install import artifacts
from stack.progress import Progress
from stack.run import end, ports, restore, watches, write
from stack.run.lock import exclusive
from stack.run.start import Starter
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.plan import Plan
from stack.topology.processes import Process, Step


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Start everything."""
    up(chosen, Progress())
    return 0


def up(settings: Settings, progress: Progress) -> None:
    """
    Start everything, wait until an order has been placed, and print the addresses.

    What this run started is stopped again if it fails or is interrupted.
    """
    plan = prepare(settings)
    if restore.unfinished(settings):
        again = settings.command("restore")
        raise StackError(f"a restore of {settings.state} was not finished; run `{again} TO=…` again")
    with exclusive(settings):
        start(plan, built(plan, progress), progress)
    print(summary(plan, progress.seconds()))


def built(plan: Plan, progress: Progress) -> dict[str, Step]:
    """
    Build and write what the processes need, and return the steps that start them; raises before anything runs.
    """
    settings = plan.settings
    artifacts.contract(settings, say=progress.say)
    artifacts.kafka(settings, say=progress.say)
    artifacts.zipkin(settings, say=progress.say)
    artifacts.pages(settings, say=progress.say)
    steps = system.steps(plan)
    write.everything(plan, system.processes(steps))
    mesh_files.check(settings)
    return steps


def start(plan: Plan, steps: Mapping[str, Step], progress: Progress) -> None:
    """Start the processes that are not running, and wait until an order has been placed."""
    settings = plan.settings
    supervisor = Supervisor(settings)
    fresh = not supervisor.runs()
    starter = Starter(settings=settings, supervisor=supervisor, progress=progress)
    if fresh:
        end.strays(settings, progress)
    _require_room(system.processes(steps), supervisor, progress, fresh=fresh)
    try:
        supervisor.launch() if fresh else supervisor.reload()
        starter.run(steps)
        edge.wait_for_order(settings, progress)
    except BaseException:
        progress.say("stopping what was started")
        if fresh:
            end.down(settings, steps, progress)
        else:
            end.stop(settings, starter.started)
        raise


def _require_room(processes: list[Process], supervisor: Supervisor, progress: Progress, *, fresh: bool) -> None:
    """Check that the ports of the processes to start are free, and that the kernel's limits suffice."""
    known = {} if fresh else supervisor.info()
    down = [process for process in processes if known.get(process.name, {}).get("pid", 0) == 0]
    ports.require_free(endpoint for process in down for endpoint in process.listens)
    watches.require(watches.needed(down), say=progress.say)
