"""
Checks that the kernel allows this user enough inotify instances.

Without them Envoy aborts with an obscure message, so this is checked before anything starts.
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

LIMIT_FILE = Path("/proc/sys/fs/inotify/max_user_instances")
# Measured: an Envoy takes 11, one for each file of its configuration that it follows.
PER_ENVOY = 12
TIMEOUT_S = 10
OTHERS = 8  # the mesh's controller, Prometheus


class TooFewWatches(StackError):
    """Too few inotify instances are left for the user; the message says how to raise the limit."""


def needed(starting: Sequence[Process]) -> int:
    """Return how many inotify instances *starting* need."""
    envoys = sum(process.role is Role.PROXY for process in starting)
    return envoys * PER_ENVOY + OTHERS if envoys else 0


def require(count: int, *, say: Callable[[str], None]) -> None:
    """
    Ensure that *count* more inotify instances are available, raising the limit as root or with sudo.

    Raises `TooFewWatches` if that is not possible.
    """
    got, reason = _available(count)
    if got < count and _raise_limit(_wanted(count), say):
        got, reason = _available(count)
    if got < count:
        raise TooFewWatches(_advice(count, got, reason))


def _wanted(count: int) -> int:
    """Return a limit with room for as many again."""
    return _limit() + 4 * count


def _limit() -> int:
    return int(LIMIT_FILE.read_text(encoding="utf-8"))


def _raise_limit(wanted: int, say: Callable[[str], None]) -> bool:
    """
    Raise the limit of every user to *wanted* until the next boot, as `sysctl` does; return False without the rights.
    """
    as_root = packages.privilege()
    if as_root is None:
        return False
    before = _limit()
    command = [*as_root, "tee", str(LIMIT_FILE)]
    done = subprocess.run(command, input=f"{wanted}\n", text=True, capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode == 0:
        say(f"kernel: fs.inotify.max_user_instances is {wanted} until the next boot (was {before})")
    return done.returncode == 0


def _available(most: int) -> tuple[int, str]:
    """Return how many of *most* instances are available now, and why not more."""
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
        f"Envoy watches its files with inotify, which needs {count} more instances, but only {got} are available "
        f"({reason}; the limit for each user is {_limit()}). Stop another stack, or raise the limit: "
        f"sudo sysctl fs.inotify.max_user_instances={_wanted(count)}"
    )
