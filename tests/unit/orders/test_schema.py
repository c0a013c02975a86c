"""Rules for every migration."""

import re
from pathlib import Path

import pytest

MIGRATIONS = sorted((Path(__file__).parents[3] / "orders_svc" / "schema").glob("*.sql"))
# Statements that wait for a lock of a table in use, which blocks everybody behind them.
LOCKS = re.compile(
    r"^\s*(ALTER TABLE|CREATE (CONSTRAINT )?TRIGGER|CREATE (UNIQUE )?INDEX|LOCK TABLE|DROP)", re.MULTILINE
)


@pytest.mark.parametrize("migration", MIGRATIONS[1:], ids=lambda path: path.stem)
def test_migrations_of_tables_in_use_have_a_lock_timeout(migration):
    text = migration.read_text().partition("-- migrate:down")[0]
    first = LOCKS.search(text)
    assert first is None or "SET LOCAL lock_timeout" in text[: first.start()]


def test_no_two_migrations_have_one_version():
    """dbmate identifies a migration by its number: of two with one number it applies only the first."""
    versions = [migration.name.partition("_")[0] for migration in MIGRATIONS]
    assert len(set(versions)) == len(versions)
