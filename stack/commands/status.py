"""
`make status`: every process with its address, health, restarts and memory.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stack.commands.columns import table
from stack.describe import describe
from stack.errors import StackError
from stack.run import health, restarts, room, supervisor
from stack.run.health import Health
from stack.run.memory import memory_of
from stack.run.running import why_not
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.processes import Process

HEADER = ("PROCESS", "PID", "ADDRESS", "HEALTH", "RESTARTS", "UPTIME", "MEMORY")
MIB = 1024 * 1024


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Print the table; return 1 unless everything is healthy."""
    return 0 if show(chosen, system.processes(system.steps(describe(chosen)))) else 1


def show(settings: Settings, processes: Sequence[Process]) -> bool:
    """
    Print the table; return True if everything is healthy.
    """
    running = Supervisor(settings)
    if not running.runs():
        print(f"{why_not(settings)}.")
        return False
    known = running.info()
    counts = restarts.load(supervisor.restarts_file(settings))
    healths = _ask_all(processes, known)
    pids = {process.name: int(known.get(process.name, {}).get("pid", 0)) for process in processes}
    memory = memory_of(settings, pids)
    rows = [_row(process, known, healths, counts, memory) for process in processes]
    print(table([HEADER, *rows]))
    print(f"\nTotal memory: {sum(memory.values()) // MIB} MiB (shared pages counted once)")
    for sentence in room.shortage(settings):
        print(sentence)
    _show_mesh_error(settings)
    return all(answer.good for answer in healths.values())


def unhealthy(supervisor: Supervisor, processes: Sequence[Process]) -> dict[str, str]:
    """Return the state of each process that is not healthy."""
    healths = _ask_all(processes, supervisor.info())
    return {name: answer.word for name, answer in healths.items() if not answer.good}


class NotHealthy(StackError):
    """The command needs every process of the stack; the message names those that are away."""


def require_healthy(settings: Settings, processes: Sequence[Process], what: str, *, within_s: float = 0) -> None:
    """
    Raise `NotHealthy` if a process is not healthy *within_s*: *what* begins on a healthy stack.

    What injects faults starts what it stops: with something away already it would prove nothing, or end by starting it.
    """
    end = time.monotonic() + within_s
    while bad := unhealthy(Supervisor(settings), processes):
        if time.monotonic() > end:
            named = ", ".join(f"{name} ({state})" for name, state in bad.items())
            raise NotHealthy(
                f"{what} begins on a healthy stack, and this is not: {named}; see `{settings.command('status')}`"
            )
        time.sleep(1)


def _ask_all(processes: Sequence[Process], known: Mapping[str, dict[str, Any]]) -> dict[str, Health]:
    """Check all processes in parallel, so that one that hangs delays the table by at most two seconds."""

    def ask(process: Process) -> Health:
        info = known.get(process.name)
        if info is None:
            return Health(False, "not started")
        # A status file of a process that is gone says nothing about it.
        if info["statename"] != "RUNNING":
            return Health(False, str(info["statename"]).lower())
        return health.ask(process.check)

    with ThreadPoolExecutor(max_workers=len(processes)) as threads:
        return dict(zip((process.name for process in processes), threads.map(ask, processes), strict=True))


def _row(
    process: Process,
    known: Mapping[str, dict[str, Any]],
    healths: Mapping[str, Health],
    counts: Mapping[str, int],
    memory: Mapping[str, int],
) -> tuple[str, ...]:
    info = known.get(process.name, {})
    running = bool(info.get("pid"))
    return (
        process.name,
        str(info["pid"]) if running else "-",
        str(process.listens[0]) if process.listens else "-",
        healths[process.name].word,
        str(counts.get(process.name, 0)),
        span(time.time() - info["start"]) if running else "-",
        f"{memory[process.name] // MIB} MiB" if running else "-",
    )


def span(seconds: float) -> str:
    """Format a duration: 42s, 7m05s, 3h12m, 2d04h."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d{hours % 24:02}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"


def _show_mesh_error(settings: Settings) -> None:
    """The mesh controller's last refusal, whole: it names file, resource and field; and what it warns of."""
    status = health.mesh_status(settings.mesh / "status.json")
    if status.get("error"):
        print(f"\nThe mesh keeps its last good configuration, because istio/ is refused:\n{status['error']}")
    if status.get("findings"):
        print("\nThe mesh's files are in force, and yet:", *status["findings"], sep="\n")
