"""
`make logs SVC=…`: the end of some processes' logs, and what they write from now on.
"""

import argparse
import os
from collections.abc import Sequence

from stack.command_table import yes
from stack.describe import describe
from stack.run import supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.processes import Process

LINES = 100


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Show the logs of what SVC names."""
    everything = system.processes(system.steps(describe(chosen)))
    named = system.named(everything, options.service) if options.service else everything
    follow(chosen, named, forever=yes("FOLLOW", options.follow, default=True))
    return 0


def follow(settings: Settings, processes: Sequence[Process], *, forever: bool) -> None:
    """
    Become tail(1) on the logs: the last 100 lines, then everything new, over rotations too.
    """
    files = [str(supervisor.log_file(settings, process.name)) for process in processes]
    following = ["--follow=name", "--retry"] if forever else []
    os.execvp("tail", ["tail", f"--lines={LINES}", *following, *files])  # noqa: S607 - coreutils'
