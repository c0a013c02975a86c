"""
The state folder: who owns it, what a stack creates in it, and what may be removed again.

Like initdb, a stack never uses and never empties a folder that holds anything else.
"""

import errno
import shutil
from pathlib import Path

from stack.errors import StackError
from stack.settings import TOOLS, Settings

MARK = "this-is-a-stack"
# Older versions, which accepted any folder as STATE, wrote an empty marker.
MARK_TEXT = "A stack keeps its state here; `make clean` removes it.\n"
# Everything that a stack creates in its state folder; `make clean` removes nothing else.
MADE = (
    "backups",
    "bench",
    "chaos",
    "conf",
    "data",
    "drill",
    "drill.json",
    "log",
    "mesh",
    "mutation",
    "run",
    "screenshots",
    "secrets",
    "test",
)
EXAMPLES = 3


class NotAStack(StackError):
    """The state folder holds the user's own files, or no stack; the message says which."""


def exists(settings: Settings) -> bool:
    """
    Return whether a stack was created here; change nothing.

    An empty marker counts only in an otherwise empty folder, because older versions marked any folder.
    """
    mark = settings.state / MARK
    try:
        return mark.is_file() and (mark.stat().st_size > 0 or not foreign_to(settings))
    except OSError as error:
        raise NotAStack(f"STATE={settings.state} cannot be read: {error.strerror}") from error


def require(settings: Settings) -> None:
    """Raise `NotAStack` unless a stack was created here; change nothing."""
    if not exists(settings):
        raise NotAStack(f"there is no stack in STATE={settings.state}; create one with `{settings.command('up')}`")


def claim(settings: Settings) -> None:
    """
    Create the state folder and its subfolders.

    Raises `NotAStack` for a folder with other contents, and for one that is not writable.
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
    Remove what a stack creates, except for *keep*.

    Returns what was removed and what was kept because no stack created it. The caller has checked that nothing is
    running. Raises `NotAStack` for a folder that is not a stack's.
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
        _remove_empty(settings.state)
    return removed, foreign


def _remove_empty(folder: Path) -> None:
    """Remove an empty folder, unless a disk is mounted there."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise


def foreign_to(settings: Settings) -> list[str]:
    """Return the names in the state folder that belong neither to a stack nor to its tools."""
    names = sorted(entry.name for entry in settings.state.iterdir())
    return [name for name in names if name not in (*MADE, MARK) and not _is_tool(settings, name)]


def _require_empty(settings: Settings) -> None:
    if not settings.state.is_dir():
        if settings.state.exists():
            raise NotAStack(f"STATE={settings.state} is not a folder")
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
    """Remove a file or folder, but never the target of a link; return False if there is none."""
    if entry.is_symlink() or entry.is_file():
        entry.unlink()
    elif entry.is_dir():
        shutil.rmtree(entry)
    else:
        return False
    return True
