"""CPU seconds and memory of a stack's parts, from the kernel."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil

from stack.run import members
from stack.run.supervisor import Supervisor
from stack.settings import Settings

_OWN = {"orders", "inventory", "postgres", "redis", "kafka"}
REST = "rest"


def part_of(name: str) -> str:
    """
    Return the part of the supervised program *name*.
    """
    service, _, proxy = re.sub(r"-\d+", "", name).partition("-")
    if service == "edge":
        return "edge"
    if service not in _OWN:
        return REST
    return f"{service}'s sidecars" if proxy == "envoy" else service


class Parts:
    """
    The programs of one running stack, and *others* beside them: the part's name by process id.

    Restarted ones are not seen until `look_again`.
    """

    def __init__(self, settings: Settings, others: Mapping[int, str] | None = None) -> None:
        self._settings = settings
        self._roots: dict[int, str] = {}
        self.look_again(others)

    def look_again(self, others: Mapping[int, str] | None = None) -> None:
        """
        Find the processes that run now.
        """
        supervised = Supervisor(self._settings).info()
        self._roots = dict(others or {})
        for name, info in supervised.items():
            if info["pid"]:
                found = members.of_program(self._settings, name, info["pid"])
                self._roots |= {member.pid: part_of(name) for member in found}

    def cpu_s(self) -> dict[str, float]:
        """
        Return the CPU seconds that each part has used since it started, ended children included.
        """
        running = {each.pid: each.info for each in psutil.process_iter(["ppid", "cpu_times"])}
        used: dict[str, float] = defaultdict(float)
        for pid, info in running.items():
            part, times = self._part(pid, running), info["cpu_times"]
            if part is not None and times is not None:
                used[part] += times.user + times.system + times.children_user + times.children_system
        return dict(used)

    def memory_mb(self) -> dict[str, float]:
        """
        Return the current memory of each part, in 10^6 bytes; shared memory is divided among processes.
        """
        running = {each.pid: each.info for each in psutil.process_iter(["ppid"])}
        used: dict[str, float] = defaultdict(float)
        for pid in running:
            part = self._part(pid, running)
            if part is not None:
                with suppress(psutil.Error):
                    used[part] += psutil.Process(pid).memory_full_info().pss / 1e6
        return dict(used)

    def _part(self, pid: int, running: Mapping[int, Mapping[str, Any]]) -> str | None:
        while pid not in self._roots:
            if pid == 1 or pid not in running:
                return None
            pid = running[pid]["ppid"]
        return self._roots[pid]
