"""
Finds the operating system's processes that belong to a stack, also those that left their parent.

PostgreSQL's postmaster outlives the Patroni that started it, and everything outlives a supervisord
that was killed. What supervisord starts carries its socket and the program's name in its environment.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from signal import Signals

import psutil

from stack.run import supervisor
from stack.settings import Settings

# What supervisord tells its children of itself.
SUPERVISED_BY, SUPERVISED_AS = "SUPERVISOR_SERVER_URL", "SUPERVISOR_PROCESS_NAME"


def address(settings: Settings) -> str:
    """How the children of a stack's supervisord name it."""
    return f"unix://{supervisor.socket(settings)}"


def of_program(settings: Settings, name: str, pid: int) -> list[psutil.Process]:
    """A supervised program's processes: the one supervisord knows as *pid* (0: none), and all it started."""
    return _with_children(
        process
        for process in psutil.process_iter()
        if process.pid == pid or (_environment(process).get(SUPERVISED_AS) == name and _is_ours(process, settings))
    )


def of_stack(settings: Settings) -> list[psutil.Process]:
    """Every process of the stack but supervisord itself."""
    return _with_children(process for process in psutil.process_iter() if _is_ours(process, settings))


def signal_all(processes: Iterable[psutil.Process], number: Signals) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def end_all(processes: Sequence[psutil.Process], *, seconds: float) -> None:
    """SIGTERM, then SIGKILL to what is left after *seconds*."""
    signal_all(processes, Signals.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    signal_all(alive, Signals.SIGKILL)
    psutil.wait_procs(alive, timeout=seconds)


def _is_ours(process: psutil.Process, settings: Settings) -> bool:
    if _environment(process).get(SUPERVISED_BY) == address(settings):
        return True
    # Redis writes its title over its environment, but works in its data folder.
    with suppress(psutil.Error):
        return process.name() == "redis-server" and process.cwd() == f"{settings.data}/redis-0"
    return False


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """PostgreSQL's own children overwrite their environment, too."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found |= {member.pid: member for member in [process, *process.children(recursive=True)]}
    return list(found.values())
