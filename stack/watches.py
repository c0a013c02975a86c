"""
Whether the kernel will let this user's processes watch enough files.

Envoy aborts when it cannot, with a message that few understand; so it is asked before anything starts.
"""

import ctypes
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from stack.errors import StackError
from stack.processes import Process, Role

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Measured: an Envoy takes 9, one for each file of its configuration that it follows.
PER_ENVOY = 10
OTHERS = 8  # the mesh's controller, Prometheus


class TooFewWatches(StackError):
    """The user's processes have taken too many inotify instances; the message says how to allow more."""


def needed(starting: Sequence[Process]) -> int:
    """How many inotify instances *starting* take."""
    envoys = sum(process.role is Role.PROXY for process in starting)
    return envoys * PER_ENVOY + OTHERS if envoys else 0


def require(count: int) -> None:
    """
    Raise `TooFewWatches` unless *count* more inotify instances can be had, by taking and giving them back.
    """
    got, reason = _available(count)
    if got < count:
        raise TooFewWatches(_advice(count, got, reason))


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
    limit = LIMIT.read_text(encoding="utf-8").strip()
    return (
        f"Envoy follows its files with inotify, and {count} more instances are needed, of which {got} can be had "
        f"({reason}; each user may have {limit}). Stop another stack, or allow more: "
        f"sudo sysctl fs.inotify.max_user_instances={int(limit) + 4 * count}"
    )
