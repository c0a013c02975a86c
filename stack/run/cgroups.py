"""
A cgroup for each process of a stack, by which a packet filter knows the process that owns a socket.

Only for root, and only where the kernel has cgroups version 2 mounted; without them the stack runs as usual, but its
network cannot be partitioned.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stack.settings import Settings

MOUNTS = Path("/proc/self/mounts")
# Entered before the program starts, because a socket keeps the cgroup it was created in. A failure here does not
# prevent the start.
ENTER = '{ mkdir -p "$0" && echo $$ > "$0/cgroup.procs"; } 2>/dev/null; exec "$@"'
# Below the mount: the stack's folder, then the process's.
LEVEL = 2


def mount() -> Path | None:
    """Return where version 2 is mounted; None if it is not, or without root."""
    if os.geteuid() != 0:
        return None
    lines = (line.split() for line in MOUNTS.read_text(encoding="utf-8").splitlines())
    return next((Path(words[1]) for words in lines if words[2] == "cgroup2"), None)


def of_stack(settings: Settings, mounted: Path) -> Path:
    """Return the folder that holds the cgroups of a stack."""
    return mounted / f"order-system-{settings.network}"


def entered(command: Sequence[str], folder: Path, user: str | None) -> tuple[str, ...]:
    """Return *command* wrapped to run as *user* in the cgroup *folder*."""
    # supervisord would switch to the user first, who may not enter a cgroup.
    as_user = (f"setpriv --reuid={user} --regid={user} --init-groups --").split() if user else []
    return ("/bin/sh", "-c", ENTER, str(folder), *as_user, *command)


def remove(settings: Settings) -> None:
    """Remove the cgroups of a stopped stack; one that still has a process is kept."""
    mounted = mount()
    if mounted is None or not of_stack(settings, mounted).is_dir():
        return
    folder = of_stack(settings, mounted)
    for path in (*(each for each in folder.iterdir() if each.is_dir()), folder):
        with suppress(OSError):
            path.rmdir()
