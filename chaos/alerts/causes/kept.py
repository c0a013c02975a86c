"""Which process a cause has to end: its number, and when it began, since numbers are used again."""

from __future__ import annotations

from pathlib import Path

import psutil


def keep(process: psutil.Process, kept: Path) -> None:
    """Write down in *kept* which process it is."""
    kept.write_text(f"{process.pid} {process.create_time()}\n", encoding="utf-8")


def running(kept: Path) -> psutil.Process | None:
    """Return the process of *kept*; None if there is no such file, or the process has ended."""
    if not kept.exists():
        return None
    pid, created = kept.read_text(encoding="utf-8").split()
    try:
        process = psutil.Process(int(pid))
        return process if process.create_time() == float(created) else None
    except psutil.NoSuchProcess:
        return None
