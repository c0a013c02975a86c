"""
The actions that are not commands of the stack, one process each: `python -m chaos.lab.act ACTION ARGUMENTS…`.

Every action that reverts something is idempotent.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from chaos.lab.resources import resource
from chaos.partition.__main__ import IN_FORCE
from stack import settings
from stack.commands import mesh
from stack.describe import describe
from stack.errors import StackError
from stack.run import members
from stack.run.supervisor import Supervisor
from stack.settings import CHECKOUT, Settings
from stack.topology import system
from stores import hand_over

LOCKER = "chaos-lab-lock"
CONNECT_S, LOCK_S, MAX_LOCKED_S = 5, 20, 180
REDIS_S = 10


def pause(chosen: Settings, target: str) -> None:
    """Send SIGSTOP to a part with all its descendants."""
    _signal(chosen, target, signal.SIGSTOP)


def resume(chosen: Settings, target: str) -> None:
    """Send it SIGCONT."""
    _signal(chosen, target, signal.SIGCONT)


def _signal(chosen: Settings, target: str, number: signal.Signals) -> None:
    known = Supervisor(chosen).info()
    for process in system.named(system.processes(system.steps(describe(chosen))), target):
        members.signal_all(members.of_program(chosen, process.name, known[process.name]["pid"]), number)


def apply_mesh(chosen: Settings, file: str, kept: str) -> None:
    """Apply a file of Istio resources; what was applied in its place before is saved."""
    earlier = applied(chosen, Path(file))
    if earlier is not None and not Path(kept).exists():
        shutil.copy2(earlier, kept)
    _mesh(chosen, "mesh-apply", file)


def bring_mesh_back(chosen: Settings, file: str, kept: str) -> None:
    """Apply what was saved, or nothing in place of the file's resource."""
    if Path(kept).exists():
        _mesh(chosen, "mesh-apply", kept)
    elif applied(chosen, Path(file)) is not None:
        _mesh(chosen, "mesh-delete", file)


def _mesh(chosen: Settings, action: str, file: str) -> None:
    if mesh.act(chosen, action, file=file):
        raise StackError(f"{action} {file} was rejected")


def applied(chosen: Settings, file: Path) -> Path | None:
    """Return where the resource applied in place of *file*'s is saved; None if there is none."""
    wanted = resource(file)
    folder = chosen.mesh / "applied"
    paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    return next((path for path in paths if resource(path) == wanted), None)


def lock_table(chosen: Settings, table: str, seconds: str) -> None:
    """Hold an exclusive lock on a table; it ends by itself, and with its connection."""
    end = time.monotonic() + min(float(seconds), MAX_LOCKED_S)
    with database(chosen, LOCKER) as connection:
        connection.execute(f"SET lock_timeout = '{LOCK_S}s'")
        connection.execute(
            psycopg.sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(psycopg.sql.Identifier(table))
        )
        print(f"{table} locked, {IN_FORCE}", flush=True)
        while time.monotonic() < end:
            time.sleep(0.5)
            connection.execute("SELECT 1")


def unlock_table(chosen: Settings) -> None:
    """Terminate the sessions that lock a table."""
    with database(chosen, "chaos-lab") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [LOCKER]
        )


def database(chosen: Settings, name: str) -> psycopg.Connection[Any]:
    """
    Return a connection of orders' account to the primary; *name* is shown in pg_stat_activity.
    """
    address = describe(chosen).database_url.replace("=primary", "=read-write")
    return psycopg.connect(address, application_name=name, connect_timeout=CONNECT_S)


def switch_over(chosen: Settings, leader: str) -> None:
    """Switch PostgreSQL over to its synchronous replica."""
    plan = describe(chosen)
    place = plan.patroni[int(leader.rpartition("-")[2])]
    try:
        successor = hand_over.hand_over(f"http://{place}", ("patroni", plan.passwords.patroni_api))
    except hand_over.NoHandOver as error:
        raise StackError(f"switchover from {leader} failed: {error}") from error
    if successor is None:
        raise StackError(f"{leader} is not the leader")


def empty_redis(chosen: Settings) -> None:
    """Flush Redis and its files, like a loss of its data."""
    with Redis.from_url(describe(chosen).redis_url, socket_timeout=REDIS_S) as redis:
        redis.flushall()


ACTIONS: Mapping[str, Callable[..., None]] = {
    "pause": pause,
    "resume": resume,
    "mesh": apply_mesh,
    "mesh-back": bring_mesh_back,
    "lock-table": lock_table,
    "unlock-table": unlock_table,
    "switchover": switch_over,
    "empty-redis": empty_redis,
}


def main(words: list[str]) -> int:
    """Run one action and return the exit code."""
    try:
        ACTIONS[words[0]](settings.read(os.environ, checkout=CHECKOUT), *words[1:])
    except (StackError, OSError, psycopg.Error, RedisError, subprocess.SubprocessError) as error:
        print(f"{words[0]}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
