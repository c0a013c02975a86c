"""
Finds all operating system processes of a stack, including those that lost their parent.

PostgreSQL's postmaster outlives the Patroni that started it, and everything outlives a supervisord that was killed.
Processes started by supervisord are recognised by its socket and the program name in their environment.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from signal import Signals

import psutil

from stack.run import supervisor
from stack.settings import Settings

# The variables that supervisord sets for its children.
SUPERVISED_BY, SUPERVISED_AS = "SUPERVISOR_SERVER_URL", "SUPERVISOR_PROCESS_NAME"


def address(settings: Settings) -> str:
    """Return the variable by which children of a stack's supervisord are recognised."""
    return f"unix://{supervisor.socket(settings)}"


def of_program(settings: Settings, name: str, pid: int) -> list[psutil.Process]:
    """
    Return a supervised program's processes: the one that supervisord knows as *pid* (0: none), and its descendants.
    """
    return of_programs(settings, {name: pid})[name]


def of_programs(settings: Settings, pids: Mapping[str, int]) -> dict[str, list[psutil.Process]]:
    """
    Return the processes of each of several programs by its name, as `of_program` does, in one pass over all processes.
    """
    names = {pid: name for name, pid in pids.items()}
    programs: dict[int, str] = {}
    parents: dict[int, int] = {}
    processes = {process.pid: process for process in psutil.process_iter()}
    for pid, process in processes.items():
        with suppress(psutil.Error):
            parents[pid] = process.ppid()
        name = names.get(pid) or _environment(process).get(SUPERVISED_AS, "")
        if pid in names or (name in pids and _is_ours(process, settings)):
            programs[pid] = name
    found: dict[str, list[psutil.Process]] = {name: [] for name in pids}
    for pid, process in processes.items():
        ancestor = pid
        while ancestor not in programs and ancestor in parents:
            ancestor = parents[ancestor]
        if ancestor in programs:
            found[programs[ancestor]].append(process)
    return found


def of_stack(settings: Settings) -> list[psutil.Process]:
    """Return every process of the stack except supervisord itself."""
    return _with_children(process for process in psutil.process_iter() if _is_ours(process, settings))


def signal_all(processes: Iterable[psutil.Process], number: Signals) -> None:
    """Send a signal to those processes that still exist."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def end_all(processes: Sequence[psutil.Process], *, seconds: float) -> None:
    """Send SIGTERM, then SIGKILL to those left after *seconds*."""
    signal_all(processes, Signals.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    signal_all(alive, Signals.SIGKILL)
    psutil.wait_procs(alive, timeout=seconds)


def _is_ours(process: psutil.Process, settings: Settings) -> bool:
    if _environment(process).get(SUPERVISED_BY) == address(settings):
        return True
    # Redis overwrites its environment with its title, but its working directory is its data folder.
    with suppress(psutil.Error):
        return process.name() == "redis-server" and process.cwd() == f"{settings.data}/redis-0"
    return False


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes and their descendants; PostgreSQL's children overwrite their environment as well."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found |= {member.pid: member for member in [process, *process.children(recursive=True)]}
    return list(found.values())
