"""
`make mesh-apply`, `mesh-delete`, `mesh-diff`, `mesh-dump` and `breakers`: the translator's commands for this stack.
"""

import argparse
import subprocess
from collections.abc import Mapping

from stack.run.running import require_running
from stack.settings import Settings
from stack.topology.workloads import translator

# By stack command: the translator's command and the option that takes its argument.
ACTIONS: Mapping[str, tuple[str, str]] = {
    "mesh-apply": ("apply", "file"),
    "mesh-delete": ("delete", "file"),
    "mesh-diff": ("diff", "file"),
    "mesh-dump": ("dump", "workload"),
    "breakers": ("breakers", ""),
}


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the translator's command and return its exit code."""
    require_running(chosen)
    action, option = ACTIONS[options.command]
    argument = getattr(options, option, "")
    further = (f"--{option}={argument}",) if argument else ()
    places = (f"--certificates={chosen.secrets}/certificates", f"--out={chosen.mesh}")
    return subprocess.run(translator(chosen, action, *places, *further), check=False).returncode
