"""
The first step of every command: bring what is missing, then hand over to the environment's Python.

Run as `python3 -m stack.bootstrap COMMAND…` with nothing but Python 3.11's standard library.
"""

import os
import sys
from pathlib import Path

from stack import environment, packages, settings
from stack.errors import StackError
from stack.progress import Progress

CHECKOUT = Path(__file__).resolve().parent.parent
# Commands that look at or end a stack install nothing.
NOT_INSTALLING = {
    "down",
    "status",
    "logs",
    "stop",
    "start",
    "restart",
    "kill",
    "reconcile",
    "redrive",
    "soak",
    "clean",
    "token",
    "mesh-apply",
    "mesh-delete",
    "mesh-diff",
    "mesh-dump",
    "breakers",
    "--help",
    "-h",
}
WITHOUT_STORES = {"lint", "protos", "unit"}
WITH_BROWSER = {"integration", "test"}


def main(arguments: list[str]) -> None:
    """Install what *arguments* need and replace this process by the command itself."""
    try:
        python = _prepare(arguments)
    except StackError as error:
        sys.exit(f"error: {error}")
    os.execv(python, [str(python), "-m", "stack", *arguments])


def _prepare(arguments: list[str]) -> Path:
    if sys.version_info < (3, 11):  # noqa: UP036 - the one place that meets an older Python
        sys.exit("error: Python 3.11 or later is needed; set PYTHON to one")
    chosen = settings.read(os.environ, checkout=CHECKOUT)
    command = arguments[0] if arguments else "--help"
    python = chosen.venv / "bin" / "python"
    if command in NOT_INSTALLING:
        if not python.exists():
            sys.exit("error: nothing is installed yet; `make up` installs and starts everything")
        return python
    progress = Progress()
    needed = packages.basics()
    if command not in WITHOUT_STORES:
        needed += packages.stores(kafka_libs=chosen.kafka_libs)
    if command in WITH_BROWSER:
        needed += packages.browser()
    packages.ensure(needed, say=progress.say)
    return environment.ensure(chosen, say=progress.say)


if __name__ == "__main__":
    main(sys.argv[1:])
