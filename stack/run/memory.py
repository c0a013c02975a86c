"""
Memory used by supervised programs.
"""

from collections.abc import Mapping

from stack.run import members
from stack.settings import Settings

KIB = 1024


def memory_of(settings: Settings, pids: Mapping[str, int]) -> dict[str, int]:
    """
    Return the bytes used by each of the programs that supervisord knows as *pids* (0: none), with its descendants, as
    proportional set size: shared pages count once.
    """
    found = members.of_programs(settings, pids)
    return {name: sum(_proportional(each.pid) for each in processes) for name, processes in found.items()}


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            return next(int(line.split()[1]) * KIB for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0
