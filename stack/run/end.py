"""
Stops processes: one service, or everything in the reverse order of the start.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from signal import Signals
from threading import Event

from stack.progress import Progress
from stack.run import cgroups, members
from stack.run.order import run_in_order
from stack.run.supervisor import DOWN, Supervisor
from stack.settings import Settings
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role, Step
from stores import hand_over

STRAY_S = 20


def down(settings: Settings, steps: Mapping[str, Step], progress: Progress) -> bool:
    """
    Stop every process, then the supervisor; return False if nothing was running.
    """
    supervisor = Supervisor(settings)
    if not supervisor.runs():
        strays(settings, progress)
        return False
    running = {name for name, info in supervisor.info().items() if info["statename"] not in DOWN}

    def work(name: str, _: Event) -> None:
        if name in running:
            supervisor.stop(name, wait=True)
            progress.say(f"{name}: stopped")

    run_in_order(ending_order(steps), work)
    supervisor.shut_down()
    cgroups.remove(settings)
    return True


def ending_order(steps: Mapping[str, Step]) -> dict[str, frozenset[str]]:
    """
    Return what must be stopped before each step.

    The edge stops accepting calls first, then the services finish theirs while their sidecars and stores still work; a
    store stops after everything that needs it.
    """
    applications = {step.name for step in steps.values() if _role(step) is Role.APPLICATION}
    edge = {step.name for step in steps.values() if isinstance(step, Process) and step.service == "edge"}
    order = {name: {other.name for other in steps.values() if name in other.after} for name in steps}
    for step in steps.values():
        if step.name in applications:
            order[step.name] |= edge
        # What calls the applications, as the prober does, is stopped before them.
        elif (
            step.name not in edge
            and not step.after & applications
            and _role(step) in (Role.PROXY, Role.CONTROL, Role.MONITOR)
        ):
            order[step.name] |= applications
    return {name: frozenset(waited) for name, waited in order.items()}


def stop(settings: Settings, names: Iterable[str]) -> None:
    """Stop processes gracefully, in parallel, and keep them down."""
    supervisor = Supervisor(settings)
    run_in_order({name: frozenset() for name in names}, lambda name, _: supervisor.stop(name, wait=True))


def hand_over_leader(plan: Plan, names: Sequence[str]) -> None:
    """Switch PostgreSQL over if its leader is among *names* and another member stays."""
    ending = [member for member in plan.members if f"postgres-{member}" in names]
    if len(ending) == len(plan.members):
        return
    for member in ending:
        try:
            hand_over.hand_over(f"http://{plan.patroni[member]}", ("patroni", plan.passwords.patroni_api))
        except hand_over.NoHandOver as error:
            print(f"postgres-{member}: switchover failed: {error}")


def kill(settings: Settings, names: Sequence[str]) -> list[int]:
    """
    Send SIGKILL to processes and their descendants, and keep them down; return the killed ids.

    They are frozen before supervisord is told to keep them down, so that they neither restart nor handle the SIGTERM
    that supervisord sends first.
    """
    supervisor = Supervisor(settings)
    known = supervisor.info()
    found = members.of_programs(settings, {name: int(known[name]["pid"]) for name in names})
    victims = [member for processes in found.values() for member in processes]
    members.signal_all(victims, Signals.SIGSTOP)
    for name in names:
        supervisor.stop(name, wait=False)
    members.signal_all(victims, Signals.SIGKILL)
    _wait_until_down(supervisor, names)
    return sorted(member.pid for member in victims)


def strays(settings: Settings, progress: Progress) -> None:
    """Stop the processes left behind by a supervisord that was killed."""
    left = members.of_stack(settings)
    if left:
        progress.say(f"stopping {len(left)} processes that outlived their supervisor")
        members.end_all(left, seconds=STRAY_S)


def _role(step: Step) -> Role | None:
    return step.role if isinstance(step, Process) else None


def _wait_until_down(supervisor: Supervisor, names: Iterable[str]) -> None:
    """Wait until supervisord has noticed the deaths, which takes about a second; five at most."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        known = supervisor.info()
        if all(known[name]["statename"] in DOWN for name in names):
            return
        time.sleep(0.05)
