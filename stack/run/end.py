"""
Ends processes: one service, or everything in the reverse of the order it started in.
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
from stack.topology.plan import REPLICAS, Plan
from stack.topology.processes import Process, Role, Step
from stores import hand_over

STRAY_SECONDS = 20


def down(settings: Settings, steps: Mapping[str, Step], progress: Progress) -> bool:
    """
    End every process, then the supervisor; False when nothing ran.
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
    What each step's end waits for.

    The edge takes no more calls first, then the services finish theirs, while their sidecars
    and stores still work; a store ends after all that needs it.
    """
    applications = {step.name for step in steps.values() if _role(step) is Role.APPLICATION}
    edge = {step.name for step in steps.values() if isinstance(step, Process) and step.service == "edge"}
    order = {name: {other.name for other in steps.values() if name in other.after} for name in steps}
    for step in steps.values():
        if step.name in applications:
            order[step.name] |= edge
        elif step.name not in edge and _role(step) in (Role.PROXY, Role.CONTROL, Role.MONITOR):
            order[step.name] |= applications
    return {name: frozenset(waited) for name, waited in order.items()}


def stop(settings: Settings, names: Iterable[str]) -> None:
    """End processes in their own time and keep them down; all at once."""
    supervisor = Supervisor(settings)
    run_in_order({name: frozenset() for name in names}, lambda name, _: supervisor.stop(name, wait=True))


def hand_over_leader(plan: Plan, names: Sequence[str]) -> None:
    """Have the members of PostgreSQL among *names*, which will stop, hand over to one that stays, if there is one."""
    ending = [replica for replica in REPLICAS if f"postgres-{replica}" in names]
    if len(ending) == len(REPLICAS):
        return
    for replica in ending:
        try:
            hand_over.hand_over(f"http://{plan.patroni[replica]}", ("patroni", plan.passwords.patroni_api))
        except hand_over.NoHandOver as error:
            print(f"postgres-{replica} did not hand over: {error}")


def kill(settings: Settings, names: Sequence[str]) -> list[int]:
    """
    SIGKILL processes with all that they started, and keep them down; returns the killed ids.

    They are frozen before supervisord is told that they shall be down, so that they neither
    come back nor see the polite signal that supervisord sends first.
    """
    supervisor = Supervisor(settings)
    known = supervisor.info()
    victims = [member for name in names for member in members.of_program(settings, name, known[name]["pid"])]
    members.signal_all(victims, Signals.SIGSTOP)
    for name in names:
        supervisor.stop(name, wait=False)
    members.signal_all(victims, Signals.SIGKILL)
    _wait_until_down(supervisor, names)
    return sorted(member.pid for member in victims)


def strays(settings: Settings, progress: Progress) -> None:
    """End what a supervisord that was killed has left behind."""
    left = members.of_stack(settings)
    if left:
        progress.say(f"ending {len(left)} processes that outlived their supervisor")
        members.end_all(left, seconds=STRAY_SECONDS)


def _role(step: Step) -> Role | None:
    return step.role if isinstance(step, Process) else None


def _wait_until_down(supervisor: Supervisor, names: Iterable[str]) -> None:
    """supervisord notices a death within a second; nothing is left to wait for after five."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        known = supervisor.info()
        if all(known[name]["statename"] in DOWN for name in names):
            return
        time.sleep(0.05)
