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
    """Run the translator's command and return its exit code."""
    require_running(chosen)
    action, names = ACTIONS[options.command]
    arguments = [f"--{name}={value}" for name in names if (value := getattr(options, name))]
    places = (f"--certificates={chosen.secrets}/certificates", f"--out={chosen.mesh}")
    command = translator(chosen, action, *places, *arguments, *options.further)
    return subprocess.run(command, check=False).returncode
