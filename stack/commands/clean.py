"""
`make clean`: removes what a stack wrote, and nothing else.
"""

import argparse
from dataclasses import replace

from stack.errors import StackError
from stack.run import members, state
from stack.run.supervisor import Supervisor
from stack.settings import Settings


class NotClean(StackError):
    """The state may not be removed yet; the message says why."""


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Remove what the stack made."""
    clean(chosen)
    return 0


def clean(settings: Settings, *, keep: tuple[str, ...] = ()) -> None:
    """
    Remove the state but what is named in *keep*, and say what was removed and what stays.

    Raises `NotClean` while the stack runs and `NotAStack` for a folder that no stack was made in.
    """
    for folder in (settings.state, settings.state_of_tests):
        one = replace(settings, state=folder)
        if Supervisor(one).runs() or members.of_stack(one):
            raise NotClean(f"the stack in {folder} runs; `{settings.command('down')}` first")
    removed, foreign = state.remove(settings, keep=keep)
    print(f"Removed from {settings.state}: {' '.join(removed) or 'nothing'}")
    if foreign:
        print(f"Kept, because no stack made it: {' '.join(foreign)}")
