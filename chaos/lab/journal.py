"""
The journal of active faults, written to disk before the fault is injected, with the commands that revert it.

It lets another process revert a fault: the watchdog if the runner is gone, and the next run if the watchdog is gone as
well.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.lab.actions import Command
from stack.settings import CHECKOUT

COMMAND_S, TRIES, PAUSE_S = 120, 2, 1.0
BEAT_S, LEASE_S = 1.0, 10.0


@dataclass(frozen=True)
class Entry:
    """One fault that has not been reverted."""

    path: Path
    description: str
    undo: tuple[Command, ...]


class Journal:
    """The active faults of a stack, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def beat_file(self) -> Path:
        """Return the file that the runner touches as a heartbeat."""
        return self.folder / "heartbeat"

    def beat(self) -> None:
        """Renew the lease of all faults."""
        self.beat_file.touch()

    @contextlib.asynccontextmanager
    async def leased(self) -> AsyncIterator[None]:
        """Renew the lease during the block; the watchdog reverts the faults if this process ends first."""

        async def beat() -> None:
            while True:
                self.beat()
                await asyncio.sleep(BEAT_S)

        self.beat()
        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()

    def is_stale(self) -> bool:
        """Return whether the lease has expired."""
        try:
            return time.time() - self.beat_file.stat().st_mtime > LEASE_S
        except FileNotFoundError:
            return True

    def note(self, number: int, description: str, undo: Sequence[Command]) -> Entry:
        """Record a fault that is about to be injected."""
        path = self.folder / f"fault-{number:04d}.json"
        with path.open("w", encoding="utf-8") as file:
            json.dump({"description": description, "undo": undo}, file)
            file.flush()
            os.fsync(file.fileno())
        return Entry(path, description, tuple(undo))

    def strike(self, entry: Entry) -> None:
        """Remove a fault that was reverted."""
        entry.path.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """Return the active faults, the latest first."""
        return [self._read(path) for path in sorted(self.folder.glob("fault-*.json"), reverse=True)]

    def roll_back(self, say: Callable[[str], None]) -> list[str]:
        """
        Revert all active faults, the latest first; return what could not be reverted.

        Safe to run concurrently.
        """
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            failed = [failure for entry in self.entries() if (failure := self.revert(entry, say))]
        if not failed:
            for path in self.folder.glob("mesh-*.yaml"):
                path.unlink(missing_ok=True)
        return failed

    def revert(self, entry: Entry, say: Callable[[str], None]) -> str:
        """Revert one fault and strike it; return what could not be reverted, or an empty string."""
        if problems := [problem for command in entry.undo if (problem := undo(command))]:
            return f"{entry.description}: {'; '.join(problems)}"
        say(f"reverted: {entry.description}")
        self.strike(entry)
        return ""

    def _read(self, path: Path) -> Entry:
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            # The runner died while writing it, so its fault was not injected.
            return Entry(path, "a fault that was not injected", ())
        return Entry(path, entry["description"], tuple(tuple(command) for command in entry["undo"]))


def undo(command: Command) -> str:
    """Run a command that reverts a fault, with one retry; return an empty string, or the error."""
    failure = ""
    for turn in range(TRIES):
        time.sleep(PAUSE_S * turn)
        try:
            done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command[1:])} took more than {COMMAND_S} s"
        if done.returncode == 0:
            return ""
        failure = f"{' '.join(command[1:])}: {(done.stdout + done.stderr).strip()[-300:]}"
    return failure
