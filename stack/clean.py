"""
`make clean`: removes what a stack wrote, and nothing else.
"""

from dataclasses import replace

from stack import members, state
from stack.errors import StackError
from stack.settings import Settings
from stack.supervisor import Supervisor


class NotClean(StackError):
    """The state may not be removed yet; the message says why."""


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
