"""
Checks with squawk that no migration locks a table for long or breaks the version that runs beside it.

Run as `python -m tools.migrations`. The part `migrate:down` is not checked: only developers run it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.settings import CHECKOUT

SCHEMA = CHECKOUT / "orders_svc" / "schema"
SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"
DOWN = "-- migrate:down"
POSTGRES = "15"
TIMEOUT_S = 60
NOT_WANTED = {
    "prefer-bigint-over-smallint": "stripes and shards are numbers below 32 that never grow",
}
"""Rules that hold for no migration, and why."""
FIRST = "it creates the tables, so no transaction waits for its locks"
BEFORE = "released before this check; it has a lock_timeout and rewrites no table"
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("20260101000000_orders.sql", "require-lock-timeout"): FIRST,
    ("20260101000000_orders.sql", "require-statement-timeout"): FIRST,
    (
        "20260201000000_sold_units.sql",
        "require-statement-timeout",
    ): "it reads the table once, with writes blocked",
    ("20260201000000_sold_units.sql", "ban-drop-table"): "released: no version before it is left",
    ("20260201000000_sold_units.sql", "ban-drop-column"): "released: no version before it is left",
    ("20260301000000_customers_of_any_issuer.sql", "require-statement-timeout"): BEFORE,
    ("20260301000000_customers_of_any_issuer.sql", "ban-drop-constraint"): "the same statement adds a wider one",
    ("20260401000000_pass_fence.sql", "require-lock-timeout"): "a new function locks no table",
    ("20260401000000_pass_fence.sql", "require-statement-timeout"): "a new function locks no table",
    ("20260501000000_no_http_codes.sql", "require-statement-timeout"): BEFORE,
    ("20260601000000_who_changed_orders.sql", "require-statement-timeout"): BEFORE,
}
"""Accepted findings, by file and rule, and why."""


@dataclass(frozen=True)
class Finding:
    """A finding of squawk in a migration."""

    file: str
    line: int
    rule: str
    message: str


class NotChecked(Exception):
    """Squawk failed; the message says why."""


def findings(file: Path) -> list[Finding]:
    """
    Return squawk's findings in the `migrate:up` part of *file*; raises `NotChecked`.
    """
    up, _, _ = file.read_text(encoding="utf-8").partition(DOWN)
    command = [str(SQUAWK), "--no-error-on-unmatched-pattern", f"--pg-version={POSTGRES}", "--assume-in-transaction"]
    command += ["--reporter=json", f"--stdin-filepath={file.name}", f"--exclude={','.join(NOT_WANTED)}"]
    done = subprocess.run(command, input=up, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    try:
        return [
            Finding(file.name, each["line"] + 1, each["rule_name"], each["message"])
            for each in json.loads(done.stdout or "[]")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise NotChecked(f"{file.name}: squawk: {(done.stdout + done.stderr).strip()[-500:]}") from error


def violations(found: Iterable[Finding], excepted: Mapping[tuple[str, str], str]) -> list[str]:
    """
    Return an error for each finding that is not in *excepted*, and for each exception without a finding.
    """
    found = list(found)
    met = {(each.file, each.rule) for each in found}
    wrong = [
        f"orders_svc/schema/{each.file}:{each.line}: {each.rule}: {each.message}"
        for each in found
        if (each.file, each.rule) not in excepted
    ]
    return wrong + [
        f"tools/migrations.py: {rule} is not found in {file} any more: remove the exception"
        for file, rule in excepted
        if (file, rule) not in met
    ]


def main() -> int:
    """
    Check every migration; return 1 if one is refused.
    """
    try:
        messages = violations((each for file in sorted(SCHEMA.glob("*.sql")) for each in findings(file)), EXCEPTIONS)
    except NotChecked as error:
        messages = [str(error)]
    for message in messages:
        sys.stdout.write(f"{message}\n")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
