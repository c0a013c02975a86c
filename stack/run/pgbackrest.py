"""Calls pgBackRest: takes a backup from the member that leads, and reads what there is to restore from."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from stack.errors import StackError
from stack.run import health
from stack.settings import Settings
from stack.topology import backups
from stack.topology.addresses import Host, Port
from stack.topology.checks import PatroniCheck
from stack.topology.passwords import write_private
from stack.topology.plan import Plan

TIMEOUT_S = 3600
LEADER_S = 60
"""How long a leader is waited for."""


class BackupFailed(StackError):
    """pgBackRest did not do what it was asked for; the message has what it said."""


@dataclass(frozen=True)
class Backup:
    """One backup: its name, its kind (full, incr), when it ended, its bytes, and the WAL that it needs."""

    label: str
    kind: str
    ended: datetime
    size: int
    stored: int
    wal: tuple[str, str]


@dataclass(frozen=True)
class Repository:
    """What there is to restore from: the backups, the oldest first, and the first and last archived WAL."""

    backups: tuple[Backup, ...]
    wal: tuple[str, str]

    def before(self, moment: datetime) -> Backup | None:
        """Return the last backup that ended before *moment*."""
        return next((each for each in reversed(self.backups) if each.ended < moment), None)


def take(plan: Plan) -> str:
    """
    Take a backup, a full one if the last full one is a week old; return its kind. Raises `BackupFailed`.
    """
    try:
        kind = _take(plan)
    except BackupFailed:
        _note(plan.settings, "failed")
        raise
    _note(plan.settings, "succeeded")
    return kind


def _take(plan: Plan) -> str:
    kind = kind_of_next(read(plan.settings, plan.programs.postgres_user), datetime.now(UTC))
    member = leader(plan)
    # Changes nothing if it was done before.
    run(plan, member, "stanza-create")
    backups.begun(plan.settings).touch()
    run(plan, member, f"--type={kind}", "backup")
    return kind


def _note(settings: Settings, what: str) -> None:
    """Note that a backup succeeded or failed now, for the metrics."""
    file = backups.outcome(settings)
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        noted = {}
    write_private(file, json.dumps(noted | {what: time.time()}))


def kind_of_next(repository: Repository, now: datetime) -> str:
    """Return `full`, or `incr` if there is a full backup that is not too old."""
    full = [each.ended for each in repository.backups if each.kind == "full"]
    return "incr" if full and now - max(full) < timedelta(days=backups.FULL_EVERY_DAYS) else "full"


def leader(plan: Plan) -> int:
    """Return which member leads; raises `BackupFailed` if none does within a minute."""
    deadline = time.monotonic() + LEADER_S
    while time.monotonic() < deadline:
        for replica, address in enumerate(plan.patroni):
            if health.ask(PatroniCheck(address)).word == "primary":
                return replica
        time.sleep(0.5)
    raise BackupFailed(f"no member of PostgreSQL has led for {LEADER_S} s")


def run(plan: Plan, replica: int, *words: str, folder: str = "") -> str:
    """Run pgBackRest with *words* on a member, in its data folder or in *folder*; return what it printed."""
    place = folder or f"{plan.settings.data}/postgres-{replica}/pgdata"
    server = {
        "PGHOST": plan.network.address(Host.POSTGRES, replica),
        "PGPORT": str(Port.POSTGRES.value),
        "PGPASSWORD": plan.passwords.postgres_superuser,
    }
    command = [*backups.call(plan.settings, place).split(), *words]
    return _call(command, user=plan.programs.postgres_user, environment=server)


def read(settings: Settings, user: str | None) -> Repository:
    """Return what is in the backups of the stack with *settings*, as *user* may read it."""
    program = [backups.PROGRAM, f"--config={backups.configuration_file(settings)}", f"--stanza={backups.STANZA}"]
    return parse(_call([*program, "--output=json", "info"], user=user, environment={}))


def parse(text: str) -> Repository:
    """Return what pgBackRest says in *text* that there is."""
    found: list[dict[str, Any]] = [each for each in json.loads(text) if each.get("name") == backups.STANZA]
    made = [_backup(each) for one in found for each in one.get("backup", []) if not each.get("error")]
    archived = [(each["min"], each["max"]) for one in found for each in one.get("archive", []) if each.get("max")]
    return Repository(tuple(made), archived[-1] if archived else ("", ""))


def _backup(found: Mapping[str, Any]) -> Backup:
    return Backup(
        label=found["label"],
        kind=found["type"],
        ended=datetime.fromtimestamp(found["timestamp"]["stop"], UTC),
        size=found["info"]["size"],
        stored=found["info"]["repository"]["delta"],
        wal=(found["archive"]["start"], found["archive"]["stop"]),
    )


def _call(command: Sequence[str], *, user: str | None, environment: Mapping[str, str]) -> str:
    path = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            env=path | dict(environment),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BackupFailed(f"{command[0]} {command[-1]} did not end within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise BackupFailed(f"{command[0]} {command[-1]}: {(done.stdout + done.stderr).strip()[-1500:]}")
    return done.stdout
