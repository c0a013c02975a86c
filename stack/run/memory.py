"""
Memory used by a supervised program.
"""

from stack.run import members
from stack.settings import Settings

KIB = 1024


def memory_of(settings: Settings, name: str, pid: int) -> int:
    """Return the bytes used by a process and its descendants, as proportional set size: shared pages count once."""
    return sum(_proportional(member.pid) for member in members.of_program(settings, name, pid))


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            return next(int(line.split()[1]) * KIB for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0
