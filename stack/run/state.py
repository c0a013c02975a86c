"""
The state folder: whose it is, what a stack makes in it, and what may be removed again.

As initdb does: a folder that holds anything else is never taken, and never emptied.
"""

import shutil
from pathlib import Path

from stack.errors import StackError
from stack.settings import Settings

MARK = "this-is-a-stack"
# Versions that marked whatever folder STATE named left the mark empty.
MARK_TEXT = "A stack keeps its state here; `make clean` removes it.\n"
# Everything that a stack makes in its state folder; `make clean` removes nothing else.
MADE = ("chaos", "conf", "data", "log", "mesh", "run", "screenshots", "secrets", "test")
# What the folder may hold besides, where it is the folder of the installed tools as well.
TOOLS = ("checkout-", "env-", "kafka-libs", "venv")
EXAMPLES = 3


class NotAStack(StackError):
    """The state folder holds a person's own files, or no stack at all; the message says which."""


def exists(settings: Settings) -> bool:
    """
    Whether a stack was made here; looks only.

    A mark without text counts only where nothing else is, because older versions marked any folder.
    """
    mark = settings.state / MARK
    try:
        return mark.is_file() and (mark.stat().st_size > 0 or not foreign_to(settings))
    except OSError as error:
        raise NotAStack(f"STATE={settings.state} cannot be read: {error.strerror}") from error


def require(settings: Settings) -> None:
    """Raise `NotAStack` unless a stack was made here; looks only."""
    if not exists(settings):
        raise NotAStack(f"there is no stack in STATE={settings.state}; `{settings.command('up')}` makes one")


def claim(settings: Settings) -> None:
    """
    Make the state folder and the folders in it.

    Raises `NotAStack` for a folder that holds something and was never a stack's, and for one that cannot be written.
    """
    if not exists(settings):
        _require_empty(settings)
    try:
        for folder in (settings.state, settings.data, settings.conf, settings.log, settings.run, settings.mesh):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        settings.secrets.mkdir(exist_ok=True, mode=0o700)
        (settings.state / MARK).write_text(MARK_TEXT, encoding="utf-8")
    except OSError as error:
        raise NotAStack(f"STATE={settings.state} cannot be written: {error.strerror} ({error.filename})") from error


def remove(settings: Settings, *, keep: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """
    Remove what a stack makes, but what is named in *keep*.

    Returns what was removed and what stays because no stack made it. The caller has seen that nothing runs.
    Raises `NotAStack` for a folder that was never a stack's.
    """
    if not settings.state.exists():
        return [], []
    if not exists(settings):
        raise NotAStack(f"STATE={settings.state} is not a stack's folder; nothing was removed")
    removed = [name for name in MADE if name not in keep and _remove(settings.state / name)]
    if not any((settings.state / name).exists() for name in MADE):
        (settings.state / MARK).unlink()
    foreign = foreign_to(settings)
    if not any(settings.state.iterdir()):
        settings.state.rmdir()
    return removed, foreign


def foreign_to(settings: Settings) -> list[str]:
    """What the state folder holds and neither a stack nor its tools made, by name."""
    names = sorted(entry.name for entry in settings.state.iterdir())
    return [name for name in names if name not in (*MADE, MARK) and not _is_tool(settings, name)]


def _require_empty(settings: Settings) -> None:
    if not settings.state.is_dir():
        if settings.state.exists():
            raise NotAStack(f"STATE={settings.state} is no folder")
        return
    try:
        entries = sorted(entry.name for entry in settings.state.iterdir())
    except OSError as error:
        raise NotAStack(f"STATE={settings.state} cannot be read: {error.strerror}") from error
    found = [name for name in entries if not _is_tool(settings, name)]
    if found:
        shown = ", ".join(found[:EXAMPLES]) + (", …" if len(found) > EXAMPLES else "")
        raise NotAStack(
            f"STATE={settings.state} is neither empty nor a stack's folder (it holds {shown}); "
            "choose an empty folder or one that does not exist"
        )


def _is_tool(settings: Settings, name: str) -> bool:
    return settings.tools == settings.state and name.startswith(TOOLS)


def _remove(entry: Path) -> bool:
    """Remove a file or folder, never what a link points to; False when there is none."""
    if entry.is_symlink() or entry.is_file():
        entry.unlink()
    elif entry.is_dir():
        shutil.rmtree(entry)
    else:
        return False
    return True
