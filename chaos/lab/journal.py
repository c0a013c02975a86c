"""
What is broken now, on disk before it is broken, with the commands that put it right.

So the one who broke it need not be the one who puts it right: the watchdog does when the runner is gone, and the next
run does what was left by one that neither survived.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.lab.actions import Command
from stack.settings import CHECKOUT

COMMAND_S, TRIES, PAUSE_S = 120, 2, 1.0
BEAT_S, LEASE_S = 1.0, 10.0


@dataclass(frozen=True)
class Entry:
    """One fault that has not been put right."""

    path: Path
    said: str
    undo: tuple[Command, ...]


class Journal:
    """The faults of a stack that are not put right, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def beat_file(self) -> Path:
        """Touched while the runner lives."""
        return self.folder / "heartbeat"

    def beat(self) -> None:
        """Renew the lease that every fault has."""
        self.beat_file.touch()

    def is_stale(self) -> bool:
        """Whether the lease has lapsed."""
        try:
            return time.time() - self.beat_file.stat().st_mtime > LEASE_S
        except FileNotFoundError:
            return True

    def note(self, number: int, said: str, undo: Sequence[Command]) -> Entry:
        """Write down a fault that is about to be made."""
        path = self.folder / f"fault-{number:04d}.json"
        with path.open("w", encoding="utf-8") as file:
            json.dump({"said": said, "undo": undo}, file)
            file.flush()
            os.fsync(file.fileno())
        return Entry(path, said, tuple(undo))

    def strike(self, entry: Entry) -> None:
        """Forget a fault that was put right."""
        entry.path.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """What is not put right, the latest first."""
        return [self._read(path) for path in sorted(self.folder.glob("fault-*.json"), reverse=True)]

    def roll_back(self, say: Callable[[str], None]) -> list[str]:
        """
        Put right whatever is broken, the latest first; returns what could not be.

        Of several at a time, the second finds nothing left.
        """
        failed = []
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for entry in self.entries():
                problems = [problem for command in entry.undo if (problem := undo(command))]
                if problems:
                    failed.append(f"{entry.said}: {'; '.join(problems)}")
                    continue
                say(f"taken back: {entry.said}")
                self.strike(entry)
        if not failed:
            for path in self.folder.glob("mesh-*.yaml"):
                path.unlink(missing_ok=True)
        return failed

    def _read(self, path: Path) -> Entry:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            # It was being written when the runner died, and so its fault was not made.
            return Entry(path, "a fault that was not made", ())
        return Entry(path, told["said"], tuple(tuple(command) for command in told["undo"]))


def undo(command: Command) -> str:
    """Run a command that puts something right, twice if need be; empty, or what is wrong."""
    said = ""
    for turn in range(TRIES):
        time.sleep(PAUSE_S * turn)
        try:
            done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command[1:])} took more than {COMMAND_S} s"
        if done.returncode == 0:
            return ""
        said = f"{' '.join(command[1:])}: {(done.stdout + done.stderr).strip()[-300:]}"
    return said
