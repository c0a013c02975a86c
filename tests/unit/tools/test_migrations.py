"""A migration that locks a table for long, or breaks the version beside it, is refused; each exception has a reason."""

import pytest

from tools import migrations
from tools.migrations import Finding, findings, violations

UNDER = "-- migrate:up\nSET LOCAL lock_timeout = '2s';\nSET LOCAL statement_timeout = '5s';\n"
REFUSED = {
    "CREATE INDEX orders_by_total ON orders (total);": "require-concurrent-index-creation",
    "ALTER TABLE orders ADD COLUMN channel text NOT NULL;": "adding-required-field",
    "ALTER TABLE orders DROP COLUMN total;": "ban-drop-column",
    "ALTER TABLE orders RENAME COLUMN total TO sum;": "renaming-column",
    "ALTER TABLE orders ALTER COLUMN version TYPE int;": "changing-column-type",
    "ALTER TABLE orders ALTER COLUMN currency SET NOT NULL;": "adding-not-nullable-field",
    "ALTER TABLE orders ADD CONSTRAINT some CHECK (version > 1);": "constraint-missing-not-valid",
}


def written(tmp_path, text):
    file = tmp_path / "20270101000000_next.sql"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("statement", "rule"), REFUSED.items(), ids=REFUSED.values())
def test_what_locks_or_breaks_is_refused(tmp_path, statement, rule):
    found = findings(written(tmp_path, UNDER + statement + "\n-- migrate:down\n"))
    assert rule in {each.rule for each in found}
    assert any(f"20270101000000_next.sql:4: {rule}: " in sentence for sentence in violations(found, {}))


def test_waiting_for_a_lock_must_have_a_limit(tmp_path):
    found = findings(written(tmp_path, "-- migrate:up\nALTER TABLE orders ADD COLUMN channel text;\n"))
    assert {each.rule for each in found} == {"require-lock-timeout", "require-statement-timeout"}


def test_a_column_that_may_be_null_is_taken_and_what_undoes_it_is_not_looked_at(tmp_path):
    text = (
        UNDER
        + "ALTER TABLE orders ADD COLUMN channel text;\n-- migrate:down\nALTER TABLE orders DROP COLUMN channel;\n"
    )
    assert findings(written(tmp_path, text)) == []


def test_what_cannot_be_parsed_is_refused(tmp_path):
    assert findings(written(tmp_path, UNDER + "ALTER TABLE orders ADDD COLUMN;\n")) != []


def test_an_exception_that_is_not_needed_any_more_is_refused():
    found = [Finding("a.sql", 1, "ban-drop-table", "…")]
    assert violations(found, {("a.sql", "ban-drop-table"): "why"}) == []
    assert "remove the exception" in violations([], {("a.sql", "ban-drop-table"): "why"})[0]


def test_our_migrations_are_taken(capsys):
    assert migrations.main() == 0, capsys.readouterr().out
