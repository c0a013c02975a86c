"""Causes in PostgreSQL: sessions that hang, a replica that does not replay, rights and rows that somebody changed."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

from chaos.alerts.causes import holder
from chaos.alerts.causes.kept import keep, running
from chaos.alerts.causes.machine import stack_command
from chaos.lab import act
from stack.describe import describe
from stack.errors import StackError
from stack.settings import Settings
from stack.topology.addresses import Port
from stores import files

DEAD_ROWS, MAX_UPDATES = 30_000, 5_000
RAISED = 1_000_000
# The triggers have 16, from 0 on. A row of its own is added and removed whole, however often either is tried.
STRIPE = 16
# Any row will do: an update of a row leaves its old version behind.
REWRITE = "UPDATE idempotency_keys SET version = version"
RAISE = """
INSERT INTO sold_units (product, stripe, units) VALUES (%(product)s, %(stripe)s, %(units)s)
ON CONFLICT (product, stripe) DO NOTHING
"""
LOWER = "DELETE FROM sold_units WHERE product = %(product)s AND stripe = %(stripe)s"
# Orders serves in this role; its account, which owns the tables, keeps every right.
REVOKE_PRUNING = f"REVOKE DELETE ON idempotency_keys FROM {files.SERVING}"
GRANT_PRUNING = f"GRANT DELETE ON idempotency_keys TO {files.SERVING}"
REPLAYS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"
REBUILD_S = 10.0


def _administrator(chosen: Settings, *, replica: bool = False) -> psycopg.Connection[tuple[object, ...]]:
    plan = describe(chosen)
    return psycopg.connect(
        host=plan.postgres_hosts,
        port=Port.POSTGRES.value,
        user="postgres",
        password=plan.passwords.postgres_superuser,
        dbname="orders",
        target_session_attrs="standby" if replica else "read-write",
        application_name=holder.NAME,
        connect_timeout=5,
        autocommit=True,
    )


def lock_reconciler(_chosen: Settings, kept: Path) -> None:
    """Keep every replica from reconciling, as a session that hangs in it does."""
    holder.start("reconciler", kept)


def leave_dead_rows(chosen: Settings, kept: Path) -> None:
    """Keep an old transaction open, and rewrite rows until their old versions outnumber any table's rows."""
    holder.start("snapshot", kept)
    with _administrator(chosen) as session:
        dead = 0
        for _ in range(MAX_UPDATES):
            dead += session.execute(REWRITE).rowcount
            if dead > DEAD_ROWS:
                return
    raise StackError(f"{MAX_UPDATES} updates left {dead} dead rows; place some orders first")


def end_sessions(_chosen: Settings, kept: Path) -> None:
    """End the process that holds the session, and so the session."""
    holder.stop(kept)


def freeze_replay(chosen: Settings, kept: Path) -> None:
    """Have the replica take WAL and replay none, as if its disk were slow: Patroni ends a pause that is asked for."""
    with _administrator(chosen, replica=True) as session:
        row = session.execute(REPLAYS).fetchone()
    if row is None:
        raise StackError("no process of the replica replays")
    process = psutil.Process(int(str(row[0])))
    keep(process, kept)
    process.send_signal(signal.SIGSTOP)


def thaw_replay(_chosen: Settings, kept: Path) -> None:
    """Have it replay again."""
    if process := running(kept):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
    kept.unlink(missing_ok=True)


def revoke_pruning(chosen: Settings, _kept: Path) -> None:
    """Take away the right to delete request ids."""
    with _administrator(chosen) as session:
        session.execute(REVOKE_PRUNING)


def grant_pruning(chosen: Settings, _kept: Path) -> None:
    """Give it back."""
    with _administrator(chosen) as session:
        session.execute(GRANT_PRUNING)


def raise_sold_units(chosen: Settings, kept: Path, product: str) -> None:
    """Count a million units more as sold than orders own, have the stock rebuilt from that, and reconcile."""
    kept.write_text("raised\n", encoding="utf-8")
    with _administrator(chosen) as session:
        session.execute(RAISE, row(product))
    act.empty_redis(chosen)
    time.sleep(REBUILD_S)
    with suppress(StackError):  # what it cannot repair is the point
        stack_command(chosen, "reconcile")


def lower_sold_units(chosen: Settings, kept: Path, product: str) -> None:
    """Take them off again, and have the stock rebuilt."""
    if kept.exists():
        with _administrator(chosen) as session:
            session.execute(LOWER, row(product))
        act.empty_redis(chosen)
        time.sleep(REBUILD_S)
        stack_command(chosen, "reconcile")
        kept.unlink()


def row(product: str) -> dict[str, str | int]:
    """Return the row of units that were never sold."""
    return {"product": f"products/{product}", "stripe": STRIPE, "units": RAISED}
