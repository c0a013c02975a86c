"""
`make mesh-apply`, `proxy-status`, `breakers` and the like: the translator's commands for this stack.
"""

import argparse
import subprocess
from collections.abc import Mapping

from stack.run.running import require_running
from stack.settings import Settings
from stack.topology.workloads import translator

# By stack command: the translator's command and the options that take its arguments.
ACTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mesh-apply": ("apply", ("file",)),
    "mesh-delete": ("delete", ("file",)),
    "mesh-diff": ("diff", ("file",)),
    "mesh-dump": ("dump", ("workload",)),
    "proxy-status": ("proxy-status", ("workload",)),
    "proxy-config": ("proxy-config", ("kind", "workload")),
    "breakers": ("breakers", ()),
}


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the command line's command."""
    given = {name: getattr(options, name) for name in ACTIONS[options.command][1]}
    return act(chosen, options.command, *options.further, **given)


def act(chosen: Settings, command: str, *further: str, **given: str) -> int:
    """
    Run the translator's action of *command* on the running stack and return its exit code.

    *given* are its options by name, of which empty ones are left out; *further* are passed on as they are.
    """
    require_running(chosen)
    action, names = ACTIONS[command]
    arguments = [f"--{name}={given[name]}" for name in names if given[name]]
    places = (f"--certificates={chosen.secrets}/certificates", f"--out={chosen.mesh}")
    return subprocess.run(translator(chosen, action, *places, *arguments, *further), check=False).returncode
