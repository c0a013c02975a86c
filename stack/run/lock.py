"""
The lock under which one command at a time changes a stack.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from stack.errors import StackError
from stack.settings import Settings


class Busy(StackError):
    """Another command is changing this stack."""


@contextmanager
def exclusive(settings: Settings, what: str = "stack") -> Iterator[None]:
    """Hold the lock on *what*; raises `Busy` at once if another command holds it."""
    with (settings.run / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another command is changing the {what} in {settings.state}; wait until it ends") from None
        yield
