"""The metrics of backups: exported from the first backup on, and not before."""

import json

import pytest

from gateway.pages import backups as backups


def metrics(folder):
    return {family.name: family.samples[0].value for family in backups.Backups(folder).collect()}


def test_a_stack_without_a_backup_exports_no_metric(tmp_path):
    assert metrics(tmp_path) == {}


def test_the_last_backups_and_wal_that_is_not_archived_are_exported(tmp_path):
    (tmp_path / backups.OUTCOME).write_text(json.dumps({"succeeded": 5.0}))
    names = [name for name, _ in (backups.SUCCEEDED, backups.FAILED, backups.WAL_FAILING)]
    assert metrics(tmp_path) == dict(zip(names, [5.0, 0.0, 0.0], strict=True))
    (tmp_path / backups.OUTCOME).write_text(json.dumps({"succeeded": 5.0, "failed": 6.0}))
    (tmp_path / backups.NOT_ARCHIVED).touch()
    assert metrics(tmp_path) == dict(zip(names, [5.0, 6.0, 1.0], strict=True))


@pytest.mark.parametrize("text", ["", "[]", '{"succeeded": "now"}', '{"succeeded": null}'])
def test_what_cannot_be_read_breaks_no_scrape(tmp_path, text):
    (tmp_path / backups.OUTCOME).write_text(text)
    assert metrics(tmp_path) == {}
