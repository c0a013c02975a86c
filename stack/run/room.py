"""Whether the disk of the state folder is full, which no store says in words that name it."""

import shutil

from stack.settings import Settings

MIB = 1024 * 1024
LOW = 200 * MIB
"""A new stack takes some 350 MiB, etcd alone 64 at once, and a store that gets no room ends."""


def shortage(settings: Settings) -> list[str]:
    """Return a sentence that says how little is free and what to do, or nothing if there is enough."""
    free = shutil.disk_usage(settings.state).free
    if free >= LOW:
        return []
    return [
        f"The disk of STATE={settings.state} has {free // MIB} MiB free: make room there, but not in "
        f"{settings.data}, then `{settings.command('up')}`"
    ]
