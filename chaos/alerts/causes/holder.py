"""
A process that keeps sessions open, or processors busy, until it is ended: `python -m chaos.alerts.causes.holder NAME`.

It ends by itself after an hour and a half, for a run that could not end it.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import psycopg
from redis import Redis

from chaos.alerts.causes.kept import keep, running
from chaos.lab import act
from orders_svc import sql as orders_sql
from stack import settings
from stack.describe import describe
from stack.errors import StackError
from stack.settings import CHECKOUT, Settings

MAX_S = 5400.0
READY_S, POLL_S = 60.0, 0.2
HELD = "held"
NAME = "chaos-alerts"
CLIENTS = 900
FILES = 2048
BUSY_PER_PROCESSOR = 2
# About ten milliseconds of work.
BUSY_NUMBERS = 1_000_000


def start(name: str, kept: Path) -> None:
    """Start a holder and return once it holds; *kept* says which process it is."""
    log = kept.with_suffix(".log")
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos.alerts.causes.holder", name],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    keep(psutil.Process(process.pid), kept)
    end = time.monotonic() + READY_S
    while HELD not in log.read_text(encoding="utf-8"):
        if process.poll() is not None or time.monotonic() > end:
            stop(kept)
            raise StackError(f"{name} does not hold: {log.read_text(encoding='utf-8').strip()[-300:]}")
        time.sleep(POLL_S)


def stop(kept: Path) -> None:
    """End the holder of *kept*, if it still runs."""
    if process := running(kept):
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            process.wait(READY_S)
    kept.unlink(missing_ok=True)
    kept.with_suffix(".log").unlink(missing_ok=True)


def reconciler(chosen: Settings, stack: ExitStack) -> None:
    """Hold the lock that lets one replica reconcile, as a session that hangs in it does."""
    session = stack.enter_context(act.database(chosen, NAME))
    end = time.monotonic() + READY_S
    while not _locked(session):
        if time.monotonic() > end:
            raise StackError("a reconciliation is under way for a minute")
        time.sleep(POLL_S)


def _locked(session: psycopg.Connection[tuple[object, ...]]) -> bool:
    row = session.execute(orders_sql.TRY_LOCK.replace("$1", "%s"), [orders_sql.RECONCILER]).fetchone()
    session.commit()
    return row is not None and bool(row[0])


def snapshot(chosen: Settings, stack: ExitStack) -> None:
    """Keep a transaction open that sees what there was, so that VACUUM must leave what was deleted since."""
    session = stack.enter_context(act.database(chosen, NAME))
    session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    # A client that sets this is the one that the alert is for: PostgreSQL ends all others after a minute.
    session.execute("SET idle_in_transaction_session_timeout = 0")
    session.execute("SELECT count(*) FROM outbox")


def clients(chosen: Settings, stack: ExitStack) -> None:
    """Keep many connections to Redis."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    address = describe(chosen).redis_url
    for _ in range(CLIENTS):
        stack.enter_context(Redis.from_url(address, socket_timeout=5)).ping()


def processors(_chosen: Settings, _stack: ExitStack) -> None:
    """
    Keep two processes busy for each processor, so that one of them always waits.

    They run only when nothing else wants to (SCHED_IDLE), and end with this process, however it ends.
    """
    context = multiprocessing.get_context("fork")
    for _ in range(BUSY_PER_PROCESSOR * (os.cpu_count() or 1)):
        context.Process(target=_keep_busy, args=(os.getpid(),), daemon=True).start()


def _keep_busy(holder: int) -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while os.getppid() == holder:
        sum(range(BUSY_NUMBERS))


HOLDERS: Mapping[str, Callable[[Settings, ExitStack], None]] = {
    "reconciler": reconciler,
    "snapshot": snapshot,
    "clients": clients,
    "processors": processors,
}


def main(name: str) -> None:
    """Hold what *name* says until the process is ended."""
    with ExitStack() as stack:
        HOLDERS[name](settings.read(os.environ, checkout=CHECKOUT), stack)
        print(HELD, flush=True)
        time.sleep(MAX_S)


if __name__ == "__main__":
    main(sys.argv[1])
