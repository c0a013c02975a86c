"""
Whether the kernel will let this user's processes watch enough files.

Envoy aborts when it cannot, with a message that few understand; so it is asked before anything starts.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from stack.errors import StackError
from stack.install import packages
from stack.topology.processes import Process, Role

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Measured: an Envoy takes 11, one for each file of its configuration that it follows.
PER_ENVOY = 12
SECONDS = 10
OTHERS = 8  # the mesh's controller, Prometheus


class TooFewWatches(StackError):
    """The user's processes have taken too many inotify instances; the message says how to allow more."""


def needed(starting: Sequence[Process]) -> int:
    """How many inotify instances *starting* take."""
    envoys = sum(process.role is Role.PROXY for process in starting)
    return envoys * PER_ENVOY + OTHERS if envoys else 0


def require(count: int, *, say: Callable[[str], None]) -> None:
    """
    See to it that *count* more inotify instances can be had; as root or with sudo by allowing more.

    Raises `TooFewWatches` where that cannot be done.
    """
    got, reason = _available(count)
    if got < count and _raise_limit(_wanted(count), say):
        got, reason = _available(count)
    if got < count:
        raise TooFewWatches(_advice(count, got, reason))


def _wanted(count: int) -> int:
    """A limit that leaves room for as much again."""
    return _limit() + 4 * count


def _limit() -> int:
    return int(LIMIT.read_text(encoding="utf-8"))


def _raise_limit(wanted: int, say: Callable[[str], None]) -> bool:
    """Allow every user *wanted* instances until the next boot, as `sysctl` does; False where nobody lets us."""
    as_root = packages.privilege()
    if as_root is None:
        return False
    before = _limit()
    command = [*as_root, "tee", str(LIMIT)]
    done = subprocess.run(command, input=f"{wanted}\n", text=True, capture_output=True, timeout=SECONDS, check=False)
    if done.returncode == 0:
        say(f"kernel: fs.inotify.max_user_instances is {wanted} until the next boot (was {before})")
    return done.returncode == 0


def _available(most: int) -> tuple[int, str]:
    """How many of *most* instances can be had at once, and why there are no more."""
    libc = ctypes.CDLL(None, use_errno=True)
    with ExitStack() as taken:
        for got in range(most):
            descriptor = libc.inotify_init1(os.O_CLOEXEC)
            if descriptor < 0:
                return got, os.strerror(ctypes.get_errno())
            taken.callback(os.close, descriptor)
    return most, ""


def _advice(count: int, got: int, reason: str) -> str:
    return (
        f"Envoy follows its files with inotify, and {count} more instances are needed, of which {got} can be had "
        f"({reason}; each user may have {_limit()}). Stop another stack, or allow more: "
        f"sudo sysctl fs.inotify.max_user_instances={_wanted(count)}"
    )
