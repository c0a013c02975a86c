"""
Reverts the faults of a runner that is gone: `python -m chaos.lab.watchdog PID FOLDER`.

A process of its own, started by the runner, which it outlives. It acts when the runner has exited for whatever reason,
and when its heartbeat stops, for example because it is frozen.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from chaos.lab.journal import Journal
from stack.settings import CHECKOUT

POLL_S = 0.3
LAPSED = "lapsed"
# Longer than a part takes to stop.
COMMAND_S = 60
HOLDING = ("chaos.partition", "lock-table", "hold-down", "port-forward", "chaos.lab.watchdog")


def start(journal: Journal, pid: int) -> subprocess.Popen[bytes]:
    """Start the watchdog of the runner *pid*, in a session of its own."""
    (journal.folder / LAPSED).unlink(missing_ok=True)
    with (journal.folder / "watchdog.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "chaos.lab.watchdog", str(pid), str(journal.folder)],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def has_lapsed(journal: Journal) -> bool:
    """Return whether a watchdog has reverted the faults while the runner was still there."""
    return (journal.folder / LAPSED).exists()


def watch(runner: psutil.Process | None, journal: Journal) -> int:
    """Wait until the runner is gone or silent and revert its faults; return the exit code."""
    begun: dict[int, psutil.Process] = {}
    while runner is not None and runner.is_running() and runner.status() != psutil.STATUS_ZOMBIE:
        if journal.is_stale():
            (journal.folder / LAPSED).touch()
            break
        begun = {child.pid: child for child in _commands(runner)}
        time.sleep(POLL_S)
    # Commands that inject faults must end first, or they would undo the reverting.
    psutil.wait_procs(begun.values(), timeout=COMMAND_S)
    failed = journal.roll_back(_say)
    for problem in failed:
        _say(f"not reverted: {problem}")
    return 1 if failed else 0


def _commands(runner: psutil.Process) -> list[psutil.Process]:
    """
    Return the runner's commands that end by themselves; those that hold a fault are ended by the command that reverts
    it.
    """
    with suppress(psutil.Error):
        return [child for child in runner.children() if not set(HOLDING) & set(child.cmdline())]
    return []


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main(pid: int, folder: Path) -> int:
    """Watch one runner to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        runner = psutil.Process(pid)
    except psutil.NoSuchProcess:
        runner = None
    return watch(runner, Journal(folder))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
