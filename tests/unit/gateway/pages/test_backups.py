"""The age of backups is told from the first one on, and not before."""

import json

import pytest

from gateway.pages import backups as told


def metrics(folder):
    return {family.name: family.samples[0].value for family in told.Backups(folder).collect()}


def test_nothing_is_told_of_a_stack_of_which_no_backup_was_taken(tmp_path):
    assert metrics(tmp_path) == {}


def test_the_last_backups_and_wal_that_is_not_archived_are_told(tmp_path):
    (tmp_path / told.OUTCOME).write_text(json.dumps({"succeeded": 5.0}))
    names = [name for name, _ in (told.SUCCEEDED, told.FAILED, told.WAL_FAILING)]
    assert metrics(tmp_path) == dict(zip(names, [5.0, 0.0, 0.0], strict=True))
    (tmp_path / told.OUTCOME).write_text(json.dumps({"succeeded": 5.0, "failed": 6.0}))
    (tmp_path / told.NOT_ARCHIVED).touch()
    assert metrics(tmp_path) == dict(zip(names, [5.0, 6.0, 1.0], strict=True))


@pytest.mark.parametrize("text", ["", "[]", '{"succeeded": "now"}', '{"succeeded": null}'])
def test_what_cannot_be_read_breaks_no_scrape(tmp_path, text):
    (tmp_path / told.OUTCOME).write_text(text)
    assert metrics(tmp_path) == {}
