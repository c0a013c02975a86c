"""The processes of containers, as root on their node sees them: by their control groups, which name the container."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")


def of(containers: Sequence[str]) -> list[int]:
    """Return the processes of containers that run on this machine; none unless this process is root."""
    if os.geteuid() != 0 or not containers:
        return []
    return [int(each.name) for each in PROC.glob("[0-9]*") if any(name in _groups(each) for name in containers)]


def signal_all(containers: Sequence[str], number: signal.Signals) -> int:
    """Send a signal to every process of containers, and return how many got it."""
    reached = 0
    for pid in of(containers):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        reached += 1
    return reached


def _groups(process: Path) -> str:
    try:
        return (process / "cgroup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
