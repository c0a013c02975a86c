"""
`make status`: every process with its place, its health, its restarts and its memory.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stack import health, members, restarts, state, supervisor
from stack.errors import StackError
from stack.health import Health
from stack.processes import Process
from stack.settings import Settings
from stack.supervisor import Supervisor
from stack.table import table

HEADER = ("PROCESS", "PID", "ADDRESS", "HEALTH", "RESTARTS", "UPTIME", "MEMORY")
KIB = 1024
MIB = 1024 * 1024


class NotRunning(StackError):
    """The command needs a stack that runs; the message says what is so instead."""


def show(settings: Settings, processes: Sequence[Process]) -> bool:
    """
    Print the table; True when everything is healthy.
    """
    asked = Supervisor(settings)
    if not asked.runs():
        print(f"{_why_not(settings)}.")
        return False
    known = asked.info()
    counts = restarts.load(supervisor.restarts_file(settings))
    healths = _ask_all(processes, known)
    memory = {
        process.name: memory_of(settings, process.name, known.get(process.name, {}).get("pid", 0))
        for process in processes
    }
    rows = [_row(process, known, healths, counts, memory) for process in processes]
    print(table([HEADER, *rows]))
    print(f"\nMemory of all together: {sum(memory.values()) // MIB} MiB (shared pages counted once)")
    _show_mesh_error(settings)
    return all(answer.good for answer in healths.values())


def require_running(settings: Settings) -> None:
    """Raise `NotRunning` unless the stack's supervisor answers; looks only."""
    state.require(settings)
    if not Supervisor(settings).runs():
        raise NotRunning(_why_not(settings))


def _why_not(settings: Settings) -> str:
    """What is so when no supervisor answers: nothing runs, or processes without it."""
    left = members.of_stack(settings)
    if not left:
        return f"nothing runs in {settings.state}; `{settings.command('up')}` starts it"
    return (
        f"the supervisor of {settings.state} does not answer, while {len(left)} processes of the stack run; "
        f"`{settings.command('down')}` ends them, `{settings.command('up')}` ends them and starts anew"
    )


def memory_of(settings: Settings, name: str, pid: int) -> int:
    """Bytes that a process and all it started take: proportional, so that shared pages count once."""
    return sum(_proportional(member.pid) for member in members.of_program(settings, name, pid))


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            return next(int(line.split()[1]) * KIB for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def _ask_all(processes: Sequence[Process], known: Mapping[str, dict[str, Any]]) -> dict[str, Health]:
    """Everybody at once, so that one that hangs delays the table by two seconds at most."""

    def ask(process: Process) -> Health:
        info = known.get(process.name)
        if info is None:
            return Health(False, "not started")
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
    """A time as people say it: 42s, 7m05s, 3h12m, 2d04h."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d{hours % 24:02}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"


def _show_mesh_error(settings: Settings) -> None:
    """The mesh controller's last refusal, whole: it names file, resource and field."""
    try:
        error = json.loads((settings.mesh / "status.json").read_text(encoding="utf-8")).get("error")
    except (OSError, ValueError):
        return
    if error:
        print(f"\nThe mesh keeps its last good configuration, because istio/ is refused:\n{error}")
