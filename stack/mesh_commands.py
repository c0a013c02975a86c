"""
`make mesh-apply`, `mesh-delete`, `mesh-diff`, `mesh-dump` and `breakers`: the translator's commands, for this stack.
"""

import subprocess
from collections.abc import Mapping

from stack.errors import StackError
from stack.settings import Settings
from stack.workloads import translator

# By the stack's command: the translator's, and the option that its argument is.
ACTIONS: Mapping[str, tuple[str, str]] = {
    "mesh-apply": ("apply", "file"),
    "mesh-delete": ("delete", "file"),
    "mesh-diff": ("diff", "file"),
    "mesh-dump": ("dump", "workload"),
    "breakers": ("breakers", ""),
}
MAY_BE_LEFT_OUT = frozenset({"mesh-diff", "breakers"})


def run(settings: Settings, command: str, argument: str) -> int:
    """Run the translator's command; its exit code."""
    action, option = ACTIONS[command]
    if not argument and command not in MAY_BE_LEFT_OUT:
        given = "FILE=chaos/faults/…" if option == "file" else "SVC=orders"
        raise StackError(f"say which: make {command} {given}")
    further = (f"--{option}={argument}",) if argument and option else ()
    places = (f"--certificates={settings.secrets}/certificates", f"--out={settings.mesh}")
    return subprocess.run(translator(settings, action, *places, *further), check=False).returncode
