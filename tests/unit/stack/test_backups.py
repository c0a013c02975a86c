"""Backups, and what a restore checks before it changes anything."""

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.pages import backups as exported
from stack.commands.restore import moment
from stack.errors import StackError
from stack.run import pgbackrest, restore
from stack.topology import backups, configuration

NOW = datetime(2026, 11, 27, 2, tzinfo=UTC)
INFO = [
    {
        "name": "shop",
        "archive": [{"id": "15-1", "min": "000000010000000000000001", "max": "000000020000000000000009"}],
        "backup": [
            {
                "label": f"{kind}-{hours}",
                "type": kind,
                "error": error,
                "timestamp": {"start": 0, "stop": (NOW - timedelta(hours=hours)).timestamp()},
                "info": {"size": 30, "repository": {"delta": 4}},
                "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000003"},
            }
            for kind, hours, error in (("full", 30, False), ("incr", 20, False), ("incr", 10, True))
        ],
    }
]
FOUND = pgbackrest.parse(json.dumps(INFO))


def test_a_failed_backup_is_ignored():
    assert [each.label for each in FOUND.backups] == ["full-30", "incr-20"]
    assert FOUND.wal == ("000000010000000000000001", "000000020000000000000009")


def test_without_any_backup_there_is_nothing_to_restore_from():
    empty = pgbackrest.parse(json.dumps([{"name": "shop", "archive": [], "backup": []}]))
    assert empty == pgbackrest.parse("[]") == pgbackrest.Repository((), ("", ""))
    with pytest.raises(restore.RestoreFailed, match="no backup"):
        restore.require_backup(empty, None)


def test_a_restore_uses_a_backup_that_ended_before_the_target():
    assert FOUND.before(NOW).label == "incr-20"
    assert FOUND.before(NOW - timedelta(hours=25)).label == "full-30"
    restore.require_backup(FOUND, NOW - timedelta(hours=25))
    with pytest.raises(restore.RestoreFailed, match="TO=2026-11-25T19:00:00Z is before the end of the first backup"):
        restore.require_backup(FOUND, NOW - timedelta(hours=31))


@pytest.mark.parametrize(("days", "kind"), [(0, "incr"), (6, "full")])
def test_a_full_backup_is_taken_once_a_week(days, kind):
    assert pgbackrest.kind_of_next(FOUND, NOW + timedelta(days=days)) == kind
    assert pgbackrest.kind_of_next(pgbackrest.Repository((), ("", "")), NOW) == "full"


def test_to_is_latest_or_a_time_with_a_zone():
    assert moment("latest", NOW) is None
    assert moment("2026-11-27T02:00:00+01:00", NOW) == datetime(2026, 11, 27, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-26T05:00:00", "2026-11-27T02:00:01Z", "", "LATEST"])
def test_any_other_to_is_rejected_by_name(text):
    with pytest.raises(StackError, match="TO="):
        moment(text, NOW)


def test_each_member_archives_its_own_wal(plan):
    for replica in (0, 1):
        text = configuration.patroni(plan, replica)
        assert f"--pg1-path={plan.settings.data}/postgres-{replica}/pgdata archive-push %p" in " ".join(text.split())
        assert f"test ! -e {plan.settings.state}/backups/begun ||" in " ".join(text.split())
        assert "unix_socket_directories" in text


def test_the_backups_are_in_the_stacks_folder_and_encrypted(plan):
    text = backups.configuration(plan)
    assert f"repo1-path={plan.settings.state}/backups/repository" in text
    assert f"repo1-cipher-pass={plan.passwords.backups}" in text


def test_an_unfinished_restore_is_known(plan, tmp_path):
    settings = replace(plan.settings, state=tmp_path)
    settings.data.mkdir()
    assert restore.unfinished(settings) is None
    restore.Restored(to=1.0, at=2.0).keep(settings)
    assert restore.unfinished(settings) == restore.Restored(to=1.0, at=2.0)
    restore.finished(settings)
    assert restore.unfinished(settings) is None


def test_a_restore_replaces_both_members_data_and_their_state_in_etcd(plan, tmp_path):
    settings = replace(plan.settings, state=tmp_path)
    for folder in ("etcd-0/member", "postgres-0/pgdata", "postgres-0/restored", "postgres-1/pgdata"):
        (settings.data / folder).mkdir(parents=True)
        (settings.data / folder / "from").write_text(folder)
    restore._replace(settings, settings.data / "postgres-0" / "restored", again=False)
    assert (settings.data / "postgres-0/pgdata/from").read_text() == "postgres-0/restored"
    assert (settings.data / "postgres-0/before-restore/from").read_text() == "postgres-0/pgdata"
    assert not (settings.data / "postgres-1/pgdata").exists()
    assert list((settings.data / "etcd-0").iterdir()) == []
    (settings.data / "postgres-0/restored").mkdir()
    restore._replace(settings, settings.data / "postgres-0" / "restored", again=True)
    assert (settings.data / "postgres-0/before-restore/from").read_text() == "postgres-0/pgdata"
    assert list((settings.data / "postgres-0/pgdata").iterdir()) == []


def test_the_age_that_is_exported_is_that_of_the_last_backup(plan, monkeypatch):
    plan.settings.backups.mkdir(parents=True)
    monkeypatch.setattr(pgbackrest, "_take", lambda _plan: "incr")
    assert pgbackrest.take(plan) == "incr"

    def fails(_plan):
        raise pgbackrest.BackupFailed("no room")

    monkeypatch.setattr(pgbackrest, "_take", fails)
    with pytest.raises(pgbackrest.BackupFailed):
        pgbackrest.take(plan)
    noted = {family.name: family.samples[0].value for family in exported.Backups(plan.settings.backups).collect()}
    assert 0 < noted["backup_last_success_timestamp_seconds"] < noted["backup_last_failure_timestamp_seconds"]


@pytest.mark.parametrize(
    ("begun", "pushed", "code", "noted"),
    [(False, "false", 0, False), (True, "false", 1, True), (True, "true", 0, False)],
)
def test_wal_that_is_not_archived_is_kept_and_noted_once_backups_were_begun(plan, begun, pushed, code, noted):
    plan.settings.backups.mkdir(parents=True)
    if begun:
        backups.begun(plan.settings).touch()
        (plan.settings.backups / exported.NOT_ARCHIVED).touch()
    command = backups.archiving(plan, "pgdata")["archive_command"].replace(
        backups.call(plan.settings, "pgdata"), pushed
    )
    assert subprocess.run(["sh", "-c", command], timeout=10).returncode == code
    assert (plan.settings.backups / exported.NOT_ARCHIVED).exists() is noted
