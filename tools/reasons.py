"""
Generates docs/errors.md, the reasons of errors that callers may get.

Run as `python -m tools.reasons`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stack.settings import CHECKOUT

TABLE = CHECKOUT / "protos" / "reasons.yaml"
PAGE = CHECKOUT / "docs" / "errors.md"
# google/rpc/code.proto.
HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
ADVICE = {
    "same": "Retry the same call, with the same key",
    "token": "Sign in, then retry the same call, with the same key",
    "read": "Read the resource again and decide again; a retry of the same call never succeeds",
    "later": "The intent may be tried again once that has changed, with a new key",
    "new": "Correct the call; a corrected call is a new one, with a new key",
    "never": "Do not retry",
}
COLUMNS = ("| reason | status | from | what it means |", "|---|---|---|---|")


def read() -> dict[str, dict[str, Any]]:
    """
    Return the reasons that callers may get.
    """
    reasons: dict[str, dict[str, Any]] = _table()["reasons"]
    return reasons


def statuses(row: dict[str, Any]) -> list[int]:
    """
    Return the HTTP statuses that a reason may come with; none if it is not returned directly.
    """
    http = row.get("http", HTTP[row["code"]])
    return [] if http is None else [int(each) for each in str(http).split(" or ")]


def page(reasons: dict[str, dict[str, Any]]) -> str:
    """
    Return the page: one table for each advice.
    """
    parts = [str(_table()["page"])]
    for repeat, advice in ADVICE.items():
        rows = [_row(name, row) for name, row in reasons.items() if row["repeat"] == repeat]
        parts.append("\n".join([f"## {advice}", *COLUMNS, *rows, ""]))
    return "\n".join(parts)


def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(TABLE.read_text())
    return table


def _row(name: str, row: dict[str, Any]) -> str:
    http = " or ".join(str(each) for each in statuses(row))
    after = f" After: {row['after']}." if "after" in row else ""
    who = " For operators." if row["by"] == "operator" else ""
    return f"| `{name}` | {row['code']}{f', {http}' if http else ''} | {row['from']} | {row['means']}{after}{who} |"


def main(target: Path = PAGE) -> None:
    """
    Write the page.
    """
    target.write_text(page(read()))


if __name__ == "__main__":
    main()
