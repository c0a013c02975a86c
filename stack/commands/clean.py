"""
`make clean`: removes the files that a stack wrote, and no others.
"""

import argparse
from dataclasses import replace

from stack.errors import StackError
from stack.run import members, state
from stack.run.supervisor import Supervisor
from stack.settings import Settings


class NotClean(StackError):
    """The state cannot be removed now; the message says why."""


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Remove the files that the stack created."""
    clean(chosen)
    return 0


def clean(settings: Settings, *, keep: tuple[str, ...] = ()) -> None:
    """
    Remove the state except for *keep*, and print what was removed and what was kept.

    Raises `NotClean` while the stack runs and `NotAStack` for a folder in which no stack was created.
    """
    for folder in (settings.state, settings.state_of_tests, settings.of_drill().state):
        one = replace(settings, state=folder)
        if Supervisor(one).runs() or members.of_stack(one):
            raise NotClean(f"the stack in {folder} is running; run `{settings.command('down')}` first")
    removed, foreign = state.remove(settings, keep=keep)
    print(f"Removed from {settings.state}: {' '.join(removed) or 'nothing'}")
    if foreign:
        print(f"Kept, because it was not created by a stack: {' '.join(foreign)}")
