"""What every migration must have, whatever it does."""

import re
from pathlib import Path

import pytest

MIGRATIONS = sorted((Path(__file__).parents[3] / "orders_svc" / "schema").glob("*.sql"))
# What waits for a lock of a table that is in use, behind which everybody else then waits.
LOCKS = re.compile(
    r"^\s*(ALTER TABLE|CREATE (CONSTRAINT )?TRIGGER|CREATE (UNIQUE )?INDEX|LOCK TABLE|DROP)", re.MULTILINE
)


@pytest.mark.parametrize("migration", MIGRATIONS[1:], ids=lambda path: path.stem)
def test_a_migration_of_tables_in_use_gives_up_a_lock_that_is_not_to_be_had(migration):
    text = migration.read_text().partition("-- migrate:down")[0]
    first = LOCKS.search(text)
    assert first is None or "SET LOCAL lock_timeout" in text[: first.start()]


def test_no_two_migrations_have_one_version():
    """dbmate knows a migration by the number before its name: of two with one, it applies the first alone."""
    versions = [migration.name.partition("_")[0] for migration in MIGRATIONS]
    assert len(set(versions)) == len(versions)
