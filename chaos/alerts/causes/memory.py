"""
A process that the kernel kills for want of memory: `python -m chaos.alerts.causes.memory GROUP`, in that cgroup.

The group has a few megabytes, so nothing else of the machine is short of memory or killed.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from stack.errors import StackError
from stack.settings import CHECKOUT, Settings

MOUNTS = Path("/proc/self/mounts")
CONTROLLER = "memory"
NAME = "chaos-alerts-{pid}"
LIMIT_FILES = ("memory.limit_in_bytes", "memory.max")
NO_SWAP = {"memory.limit_in_bytes": "memory.swappiness", "memory.max": "memory.swap.max"}
LIMIT_BYTES = 64 * 1024**2
# The most that it takes if it is not killed, and the size of its address space.
MAX_BYTES, ADDRESSES_BYTES = 256 * 1024**2, 1024**3
STEP_BYTES = 8 * 1024**2
KILLED_S = 60


def exceed(_chosen: Settings, kept: Path) -> None:
    """Have a process take more memory than its group may have; raises `StackError` if it was not killed for that."""
    group = _root() / NAME.format(pid=os.getpid())
    kept.write_text(f"{group}\n", encoding="utf-8")
    group.mkdir()
    _limit(group)
    command = (sys.executable, "-m", "chaos.alerts.causes.memory", str(group))
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=KILLED_S, check=False)
    if done.returncode != -signal.SIGKILL:
        raise StackError(f"a process with too much memory was not killed: {done.stderr.strip()[-300:]}")


def remove_group(_chosen: Settings, kept: Path) -> None:
    """Remove the group."""
    if not kept.exists():
        return
    group = Path(kept.read_text(encoding="utf-8").strip())
    if group.is_dir():
        # There are some if the run that started them was interrupted.
        for pid in (group / "cgroup.procs").read_text(encoding="utf-8").split():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(pid))
                process.kill()
                process.wait(KILLED_S)
        group.rmdir()
    kept.unlink()


def _root() -> Path:
    """Return the root of the machine's cgroups that limit memory."""
    for line in MOUNTS.read_text(encoding="utf-8").splitlines():
        _, mounted, kind, options = line.split()[:4]
        folder = Path(mounted)
        if kind == "cgroup" and CONTROLLER in options.split(","):
            return folder
        if kind == "cgroup2" and CONTROLLER in (folder / "cgroup.subtree_control").read_text(encoding="utf-8").split():
            return folder
    raise StackError("this machine has no cgroups that limit memory")


def _limit(group: Path) -> None:
    limit = next((name for name in LIMIT_FILES if (group / name).exists()), None)
    if limit is None:
        raise StackError(f"{group} limits no memory")
    (group / limit).write_text(str(LIMIT_BYTES), encoding="utf-8")
    no_swap = group / NO_SWAP[limit]
    if no_swap.exists():
        no_swap.write_text("0", encoding="utf-8")


def main(group: str) -> None:
    """Enter the group and take memory until killed for it."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES_BYTES, ADDRESSES_BYTES))
    # Were the machine itself short of memory at this moment, this process would be the one to go.
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    (Path(group) / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")
    # A page is taken when it is written to.
    taken = [b"\1" * STEP_BYTES for _ in range(MAX_BYTES // STEP_BYTES)]
    sys.exit(f"took {len(taken) * STEP_BYTES} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
