"""
The first step of every command: install what is missing, then hand over to the environment's Python.

Run as `python3 -m stack.bootstrap COMMAND…` with nothing but Python 3.11's standard library. An older Python must be
able to parse this module, so that it can report that it is too old.
"""

import os
import sys

OLDEST = (3, 11)

if sys.version_info < OLDEST:
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"error: this is Python {found}, and 3.11 or later is needed; set PYTHON to one")

from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

from stack import command_table, settings  # noqa: E402
from stack.command_table import Command, Needs  # noqa: E402
from stack.errors import StackError  # noqa: E402
from stack.install import environment, packages  # noqa: E402
from stack.progress import Progress  # noqa: E402
from stack.settings import CHECKOUT as CHECKOUT  # noqa: E402


def main(words: Sequence[str], *, program: str = "stack", commands: Sequence[Command] = command_table.COMMANDS) -> None:
    """Install what the command in *words* needs and replace this process by the command itself."""
    try:
        python = _prepare(words, commands)
        os.execv(python, [str(python), "-m", program, *words])
    except StackError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or type(error).__name__}: {error.strerror or error}")


def _prepare(words: Sequence[str], commands: Sequence[Command]) -> Path:
    chosen = settings.read(os.environ, checkout=CHECKOUT)
    named = command_table.by_name(commands).get(words[0] if words else "")
    needs = named.needs if named else Needs.NOTHING
    python = chosen.venv / "bin" / "python"
    if needs is Needs.NOTHING:
        if not python.exists():
            raise StackError(f"nothing is installed yet; `{chosen.command('up')}` installs and starts everything")
        return python
    progress = Progress()
    needed = packages.basics()
    if needs in (Needs.STORES, Needs.ALERTMANAGER, Needs.BROWSER):
        needed += packages.stores(kafka_libs=chosen.kafka_libs, kafka_metrics_libs=chosen.kafka_metrics_libs)
    if needs in (Needs.ALERTMANAGER, Needs.BROWSER) or (needs is Needs.STORES and chosen.alert_webhook):
        needed += packages.alertmanager()
    if needs is Needs.BROWSER:
        needed += packages.browser()
    if needs in (Needs.BROWSER, Needs.LAB):
        needed += packages.packet_filter()
    packages.ensure(needed, say=progress.say)
    return environment.ensure(chosen, say=progress.say)


if __name__ == "__main__":
    main(sys.argv[1:])
