"""Causes in files and processes: a full disk, a folder that cannot be written, a process that crashes or is limited."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from chaos.alerts.causes import holder
from chaos.alerts.causes.kept import keep, running
from stack.errors import StackError
from stack.run import members
from stack.run.supervisor import Supervisor
from stack.settings import CHECKOUT, Settings

FREE = 0.07
MAX_FILL = 32 * 1024**3
FILLING = "filling"
STEP = 64 * 1024 * 1024
CRASHES, PAUSE_S = 5, 12.0
LIMIT_S = 110
# Enough is left for a pool that grows.
OPEN = 0.84


def stack_command(chosen: Settings, *words: str) -> None:
    """Run a command of the stack; raises `StackError` with the end of its output if it fails."""
    command = (sys.executable, "-m", "stack", *words)
    environment = {**os.environ, **chosen.environment()}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode != 0:
        raise StackError(f"{' '.join(words)}: {(done.stdout + done.stderr).strip()[-300:]}")


def nothing(_chosen: Settings, _kept: Path, *_arguments: str) -> None:
    """Do nothing: the cause has ended by itself."""


def crash_often(chosen: Settings, _kept: Path, target: str) -> None:
    """Kill a process, which is started again, five times, each time long enough that Prometheus sees it."""
    supervisor = Supervisor(chosen)
    for _ in range(CRASHES):
        if pid := supervisor.info()[target]["pid"]:
            members.signal_all(members.of_program(chosen, target, pid), signal.SIGKILL)
        time.sleep(PAUSE_S)


def limit_descriptors(chosen: Settings, kept: Path, target: str) -> None:
    """Lower the limit of a process's file descriptors to what it has open and a few more."""
    process = psutil.Process(Supervisor(chosen).info()[target]["pid"])
    limit, most = process.rlimit(psutil.RLIMIT_NOFILE)
    _limit_of(kept).write_text(f"{limit}\n", encoding="utf-8")
    keep(process, kept)
    process.rlimit(psutil.RLIMIT_NOFILE, (int(process.num_fds() / OPEN), most))


def raise_descriptors(_chosen: Settings, kept: Path, _target: str) -> None:
    """Give the process its limit back; one that was started since has it."""
    if process := running(kept):
        with suppress(psutil.NoSuchProcess):
            most = process.rlimit(psutil.RLIMIT_NOFILE)[1]
            process.rlimit(psutil.RLIMIT_NOFILE, (int(_limit_of(kept).read_text(encoding="utf-8")), most))
    kept.unlink(missing_ok=True)
    _limit_of(kept).unlink(missing_ok=True)


def _limit_of(kept: Path) -> Path:
    return kept.with_suffix(".limit")


def keep_processors_busy(_chosen: Settings, kept: Path) -> None:
    """Have more processes of the lowest priority want a processor than there are."""
    holder.start("processors", kept)


def leave_processors(_chosen: Settings, kept: Path) -> None:
    """End them."""
    holder.stop(kept)


def lock_backups(chosen: Settings, kept: Path) -> None:
    """Take a backup, make the repository unusable, and take another one, which fails."""
    stack_command(chosen, "backup")
    repository = _repository(chosen)
    kept.write_text(f"{repository.stat().st_mode & 0o777:o}\n", encoding="utf-8")
    repository.chmod(0)
    try:
        stack_command(chosen, "backup")
    except StackError:
        return
    raise StackError(f"a backup succeeded although {repository} cannot be entered")


def unlock_backups(chosen: Settings, kept: Path) -> None:
    """Make the repository usable, and take a backup."""
    if kept.exists():
        _repository(chosen).chmod(int(kept.read_text(encoding="utf-8"), 8))
        stack_command(chosen, "backup")
        kept.unlink()


def _repository(chosen: Settings) -> Path:
    return chosen.backups / "repository"


def fill_disk(chosen: Settings, _kept: Path) -> None:
    """
    Fill the disk of STATE until a fifteenth is free.

    Raises `StackError` for a disk so large that others most likely use it too: mount one for the trial.
    """
    disk = shutil.disk_usage(chosen.state)
    if disk.total > MAX_FILL:
        raise StackError(f"the disk of STATE={chosen.state} has {disk.total >> 30} GiB: mount a small one there first")
    with (chosen.run / FILLING).open("wb") as file:
        while _free_ratio(chosen) > FREE:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), STEP)


def _free_ratio(chosen: Settings) -> float:
    disk = shutil.disk_usage(chosen.state)
    return disk.free / (disk.used + disk.free)


def free_disk(chosen: Settings, _kept: Path) -> None:
    """Remove what filled it."""
    (chosen.run / FILLING).unlink(missing_ok=True)
