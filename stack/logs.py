"""
`make logs SVC=…`: the end of some processes' logs, and what they write from now on.
"""

import os
from collections.abc import Sequence

from stack import state, supervisor
from stack.processes import Process
from stack.settings import Settings

LINES = 100


def follow(settings: Settings, processes: Sequence[Process], *, forever: bool) -> None:
    """
    Become tail(1) on the logs: the last 100 lines, then everything new, over rotations too.
    """
    state.require(settings)
    files = [str(supervisor.log_file(settings, process.name)) for process in processes]
    following = ["--follow=name", "--retry"] if forever else []
    os.execvp("tail", ["tail", f"--lines={LINES}", *following, *files])  # noqa: S607 - coreutils'
