"""
Restores PostgreSQL of a stopped stack from its backups to a moment, beside the present data, which it then replaces.

The server is run once without Patroni until it has replayed the WAL up to the moment. What the members had agreed on in
etcd belongs to the history that is given up, so it goes; the first member then leads, and the others are built anew
from it. The data from before stays in the member's folder as `before-restore`, until the next restore.
"""

import json
import re
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from stack.errors import StackError
from stack.run import pgbackrest
from stack.settings import Settings
from stack.topology import backups
from stack.topology.addresses import Host, Port
from stack.topology.plan import Plan

RECOVERY_S = 3600
STOP_S = 120
POLL_S = 0.1
STATUS_LINE = 7
"""Of postmaster.pid, from 0."""
LAST_COMMIT = re.compile(r"last completed transaction was at log time (\S+ [\d:.]+)")
TARGET_NOT_REACHED = "recovery ended before configured recovery target was reached"
BEFORE, DRAFT = "before-restore", "restored"


class RestoreFailed(StackError):
    """The restore did not succeed; the message says why, and the data is as before."""


@dataclass(frozen=True)
class Restored:
    """Up to when the history was kept, and when that was done, in seconds since 1970."""

    to: float
    at: float

    def keep(self, settings: Settings) -> None:
        """Note that this restore was begun, until `finished`."""
        settings.restoring.write_text(json.dumps(asdict(self)), encoding="utf-8")


def unfinished(settings: Settings) -> Restored | None:
    """Return the restore that replaced the data and did not get to its end; None if there is none."""
    try:
        return Restored(**json.loads(settings.restoring.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def finished(settings: Settings) -> None:
    """Note that the system is consistent again."""
    settings.restoring.unlink(missing_ok=True)


def restore(plan: Plan, to: datetime | None) -> Restored:
    """
    Put PostgreSQL's data back to *to*, or to the end of the archived WAL if None; the stack is stopped.

    Raises `RestoreFailed`, and then nothing has changed.
    """
    require_backup(pgbackrest.read(plan.settings, plan.programs.postgres_user), to)
    draft = plan.settings.data / "postgres-0" / DRAFT
    began = datetime.now(UTC)
    try:
        last = _recover(plan, draft, to)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    restored = Restored(to=(to or last or began).timestamp(), at=began.timestamp())
    again = unfinished(plan.settings) is not None
    restored.keep(plan.settings)
    _replace(plan.settings, draft, again=again)
    return restored


def require_backup(repository: pgbackrest.Repository, to: datetime | None) -> None:
    """Raise `RestoreFailed` unless there is a backup to begin with for *to*."""
    if not repository.backups:
        raise RestoreFailed("there is no backup to restore from")
    if to is not None and repository.before(to) is None:
        first = f"{repository.backups[0].ended:%Y-%m-%dT%H:%M:%SZ}"
        raise RestoreFailed(f"TO={to:%Y-%m-%dT%H:%M:%SZ} is before the end of the first backup, {first}")


def _recover(plan: Plan, draft: Path, to: datetime | None) -> datetime | None:
    """Restore into *draft* and replay WAL; return when the last transaction in it was committed, if it tells."""
    target = ["--type=time", f"--target={to:%Y-%m-%d %H:%M:%S.%f+00}", "--target-action=promote"] if to else []
    log = _replay(plan, draft, target)
    if to and TARGET_NOT_REACHED in log:
        # Nothing was committed after the moment, or nothing of that is archived: all there is, is from before it.
        log = _replay(plan, draft, [])
    if "archive recovery complete" not in log:
        raise RestoreFailed(f"PostgreSQL did not replay the WAL: {log[-1500:]}")
    found = LAST_COMMIT.findall(log)
    return datetime.fromisoformat(found[-1]).replace(tzinfo=UTC) if found else None


def _replay(plan: Plan, draft: Path, target: list[str]) -> str:
    """Restore the last fitting backup into *draft* and let PostgreSQL replay the WAL; return what it said of that."""
    shutil.rmtree(draft, ignore_errors=True)
    pgbackrest.run(plan, 0, *target, "restore", folder=str(draft))
    log = draft / "restore.log"
    options = {
        "listen_addresses": plan.network.address(Host.POSTGRES),
        "port": str(Port.POSTGRES.value),
        # Nobody reads before it is done; and a standby would insist on the limits that Patroni sets at the start.
        "hot_standby": "off",
        "synchronous_standby_names": "",
        "archive_mode": "on",
        "archive_command": f"{backups.call(plan.settings, str(draft))} archive-push %p",
        "hba_file": f"{draft}/pg_hba.conf",
        "ident_file": f"{draft}/pg_ident.conf",
        "log_timezone": "UTC",
        "logging_collector": "off",
    }
    words = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    control = [str(plan.programs.postgres_bin / "pg_ctl"), "-D", str(draft), "-w", "-s"]
    start = [*control, "-t", str(RECOVERY_S), "-l", str(log), "-o", words, "start"]
    started = _as_postgres(plan, start, RECOVERY_S + 60)
    if started == 0:
        _wait_until_replayed(draft / "postmaster.pid")
        _as_postgres(plan, [*control, "-t", str(STOP_S), "-m", "fast", "stop"], STOP_S + 60)
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    # Where to stop is of no use to whoever copies this folder, such as the other members.
    (draft / "postgresql.auto.conf").write_text("", encoding="utf-8")
    return text


def _wait_until_replayed(running: Path) -> None:
    """Wait until the server is ready, as it writes into its file of ids, or gone."""
    deadline = time.monotonic() + RECOVERY_S
    while time.monotonic() < deadline:
        lines = _lines(running)
        if lines is None or lines[STATUS_LINE:][:1] == ["ready"]:
            return
        time.sleep(POLL_S)


def _lines(running: Path) -> list[str] | None:
    try:
        return [line.strip() for line in running.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return None


def _as_postgres(plan: Plan, command: list[str], limit_s: float) -> int:
    user = plan.programs.postgres_user
    return subprocess.run(
        command,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=limit_s,
        check=False,
    ).returncode


def _replace(settings: Settings, draft: Path, *, again: bool) -> None:
    """Put *draft* in the place of the data, which is kept unless an unfinished restore did so (*again*)."""
    for member in range(settings.profile.members):
        home = settings.data / f"postgres-{member}"
        if again and (home / BEFORE).exists():
            shutil.rmtree(home / "pgdata", ignore_errors=True)
        elif (home / "pgdata").exists():
            shutil.rmtree(home / BEFORE, ignore_errors=True)
            (home / "pgdata").rename(home / BEFORE)
    draft.rename(settings.data / "postgres-0" / "pgdata")
    shutil.rmtree(settings.data / "etcd-0", ignore_errors=True)
    (settings.data / "etcd-0").mkdir(mode=0o700)
