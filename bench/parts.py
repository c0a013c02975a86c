"""CPU seconds of a stack's parts, from /proc."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stack.run import members
from stack.run.supervisor import Supervisor
from stack.settings import Settings

TICKS = os.sysconf("SC_CLK_TCK")
_OWN = {"orders", "inventory", "postgres", "redis", "kafka"}
REST = "rest"


def part_of(name: str) -> str:
    """
    Return which part the supervised program *name* belongs to.
    """
    service, _, proxy = re.sub(r"-\d+", "", name).partition("-")
    if service == "edge":
        return "edge"
    if service not in _OWN:
        return REST
    return f"{service}'s sidecars" if proxy == "envoy" else service


class Parts:
    """The programs of one running stack; those that are started anew meanwhile are not seen."""

    def __init__(self, settings: Settings) -> None:
        supervised = Supervisor(settings).info()
        self._roots = {
            member.pid: part_of(name)
            for name, info in supervised.items()
            if info["pid"]
            for member in members.of_program(settings, name, info["pid"])
        }

    def cpu_s(self) -> dict[str, float]:
        """
        Return the CPU seconds that each part has used since it started, ended children included.
        """
        stats = _all_stats()
        used: dict[str, float] = defaultdict(float)
        for pid, fields in stats.items():
            part = self._part(pid, stats)
            if part is not None:
                # utime, stime, cutime, cstime
                used[part] += sum(map(int, fields[11:15])) / TICKS
        return dict(used)

    def _part(self, pid: int, stats: Mapping[int, list[str]]) -> str | None:
        while pid not in self._roots:
            fields = stats.get(pid)
            if fields is None or pid == 1:
                return None
            pid = int(fields[1])
        return self._roots[pid]


def _all_stats() -> dict[int, list[str]]:
    """
    Return the fields of /proc/PID/stat after the command, from the state on, of every process.
    """
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                found[int(folder.name)] = (
                    (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                )
    return found
