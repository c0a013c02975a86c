"""
`make clean`: removes what a stack wrote.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from stack.errors import StackError
from stack.settings import Settings
from stack.supervisor import Supervisor
from stack.write import MARK


class NotClean(StackError):
    """The state folder may not be removed; the message says why."""


def clean(settings: Settings, *, keep: tuple[str, ...] = ()) -> None:
    """
    Remove the state but what is named in *keep*; installed tools in the same folder stay.

    Raises `NotClean` while the stack runs and for a folder that no stack was made in.
    """
    if not settings.state.exists():
        return
    if not (settings.state / MARK).exists():
        raise NotClean(f"STATE={settings.state} is not a stack's folder; nothing was removed")
    for state in (settings.state, settings.state_of_tests):
        if Supervisor(replace(settings, state=state)).runs():
            raise NotClean(f"the stack in {state} runs; `make down` first")
    tools = {settings.venv, settings.kafka_libs}
    for entry in settings.state.iterdir():
        if entry in tools or entry.name.startswith("venv") or entry.name in keep:
            continue
        _remove(entry)
    if not any(settings.state.iterdir()):
        settings.state.rmdir()


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
