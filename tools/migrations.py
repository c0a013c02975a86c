"""
Checks with squawk that no migration locks a table for long or breaks the version that runs beside it.

Run as `python -m tools.migrations`. What a migration undoes (`migrate:down`) is not looked at: it is for developers.
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
SECONDS = 60
NOT_WANTED = {
    "prefer-bigint-over-smallint": "stripes and shards are numbers below 32 that never grow",
}
"""Rules that hold for no migration, and why."""
FIRST = "it makes the tables that are empty: nobody waits for them"
BEFORE = "released before this was checked; its lock_timeout bounds what it waits for, and it rewrites no table"
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("20260101000000_orders.sql", "require-lock-timeout"): FIRST,
    ("20260101000000_orders.sql", "require-statement-timeout"): FIRST,
    ("20260201000000_sold_units.sql", "require-statement-timeout"): "it reads every order once, while none is written",
    ("20260201000000_sold_units.sql", "ban-drop-table"): "released: no version before it is left",
    ("20260201000000_sold_units.sql", "ban-drop-column"): "released: no version before it is left",
    ("20260301000000_customers_of_any_issuer.sql", "require-statement-timeout"): BEFORE,
    ("20260301000000_customers_of_any_issuer.sql", "ban-drop-constraint"): "a wider one takes its place in one step",
    ("20260401000000_pass_fence.sql", "require-lock-timeout"): "a new function locks no table",
    ("20260401000000_pass_fence.sql", "require-statement-timeout"): "a new function locks no table",
    ("20260501000000_no_http_codes.sql", "require-statement-timeout"): BEFORE,
    ("20260601000000_who_changed_orders.sql", "require-statement-timeout"): BEFORE,
}
"""What squawk finds in a migration and is meant so, by file and rule, and why."""


@dataclass(frozen=True)
class Finding:
    """What squawk says of a migration."""

    file: str
    line: int
    rule: str
    message: str


class NotChecked(Exception):
    """Squawk did not do its work; the message says why."""


def findings(file: Path) -> list[Finding]:
    """
    Return what squawk finds in the part of *file* that is applied; raises `NotChecked`.
    """
    up, _, _ = file.read_text(encoding="utf-8").partition(DOWN)
    command = [str(SQUAWK), "--no-error-on-unmatched-pattern", f"--pg-version={POSTGRES}", "--assume-in-transaction"]
    command += ["--reporter=json", f"--stdin-filepath={file.name}", f"--exclude={','.join(NOT_WANTED)}"]
    done = subprocess.run(command, input=up, capture_output=True, text=True, timeout=SECONDS, check=False)
    try:
        return [
            Finding(file.name, each["line"] + 1, each["rule_name"], each["message"])
            for each in json.loads(done.stdout or "[]")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise NotChecked(f"{file.name}: squawk: {(done.stdout + done.stderr).strip()[-500:]}") from error


def complaints(found: Iterable[Finding], excepted: Mapping[tuple[str, str], str]) -> list[str]:
    """
    Return a sentence for each finding that is not *excepted*, and for each exception that there is no reason for.
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
        said = complaints((each for file in sorted(SCHEMA.glob("*.sql")) for each in findings(file)), EXCEPTIONS)
    except NotChecked as error:
        said = [str(error)]
    for sentence in said:
        sys.stdout.write(f"{sentence}\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
