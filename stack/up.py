"""
`make up`: from whatever there is to a system that takes an order.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stack import edge, end, install, mesh_files, ports, topology, watches, write
from stack.describe import prepare
from stack.errors import StackError
from stack.plan import Plan
from stack.processes import Process, Step
from stack.progress import Progress
from stack.settings import Settings
from stack.start import Starter
from stack.summary import summary
from stack.supervisor import Supervisor


class Busy(StackError):
    """Another command is changing this stack."""


def up(settings: Settings, progress: Progress) -> None:
    """
    Start everything, wait until an order goes through, and say what is where.

    What this run started is stopped again when it fails or is interrupted.
    """
    plan = prepare(settings)
    with exclusive(settings):
        install.contract(settings, say=progress.say)
        install.kafka(settings, say=progress.say)
        install.pages(settings, say=progress.say)
        steps = topology.steps(plan)
        write.everything(plan, topology.processes(steps))
        mesh_files.check(settings)
        _start(plan, steps, progress)
    print(summary(plan, progress.seconds()))


def _start(plan: Plan, steps: Mapping[str, Step], progress: Progress) -> None:
    """Start what does not run yet."""
    settings = plan.settings
    supervisor = Supervisor(settings)
    fresh = not supervisor.runs()
    starter = Starter(settings=settings, supervisor=supervisor, progress=progress)
    if fresh:
        end.strays(settings, progress)
    _require_room(topology.processes(steps), supervisor, progress, fresh=fresh)
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
    """What is to be started must find its ports free, and enough of what the kernel hands out."""
    known = {} if fresh else supervisor.info()
    down = [process for process in processes if known.get(process.name, {}).get("pid", 0) == 0]
    ports.require_free(endpoint for process in down for endpoint in process.listens)
    watches.require(watches.needed(down), say=progress.say)


@contextmanager
def exclusive(settings: Settings, what: str = "stack") -> Iterator[None]:
    """One command at a time may change a stack."""
    with (settings.run / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another command is busy with the {what} in {settings.state}; wait for it") from None
        yield
