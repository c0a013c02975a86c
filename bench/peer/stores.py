"""The naive stack's stores: those of a second stack of ours, from the same files, and nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stack.describe import prepare
from stack.install import artifacts
from stack.progress import Progress
from stack.run import end, ports, write
from stack.run.lock import exclusive
from stack.run.start import Starter
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role, Step

TASKS = ("-format", "orders-database", "postgres-settings")
"""How the names of the tasks end that the stores depend on."""


def of(steps: Mapping[str, Step]) -> dict[str, Step]:
    """Return the stores of *steps*, and the steps that prepare them."""
    return {
        name: step
        for name, step in steps.items()
        if name.endswith(TASKS) or (isinstance(step, Process) and step.role is Role.STORE)
    }


@contextmanager
def running(settings: Settings, progress: Progress) -> Iterator[Plan]:
    """
    Start the stores of the stack in *settings*, and stop what runs of it afterwards; data is kept.

    Raises `StackError` if they do not start, or if that stack runs already.
    """
    plan = prepare(settings)
    with exclusive(settings):
        artifacts.kafka(settings, say=progress.say)
        steps = system.steps(plan)
        write.everything(plan, system.processes(steps))
        supervisor = Supervisor(settings)
        end.down(settings, steps, progress)
        stores = of(steps)
        ports.require_free(endpoint for step in system.processes(stores) for endpoint in step.listens)
        supervisor.launch()
        try:
            Starter(settings=settings, supervisor=supervisor, progress=progress).run(stores)
            yield plan
        finally:
            end.down(settings, steps, progress)
