"""The measurements of alerts, as JSON and as the table of docs/runbooks.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MARKER = "<!-- made by chaos.alerts.measured -->\n"
HEADER = ("alert", "caused by", "pending after", "fires after", "ends after")
NEVER = "not seen"


@dataclass(frozen=True)
class Measured:
    """
    Seconds from the fault to the alert's states, and from the fault's end to the alert's; None if not observed.

    *limit_s* is how long the end was waited for.
    """

    alert: str
    cause: str
    pending_s: float | None
    firing_s: float | None
    over_s: float | None
    limit_s: float

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        over = f"> {self.limit_s:.0f} s" if self.firing_s is not None and self.over_s is None else _seconds(self.over_s)
        return self.alert, self.cause, _seconds(self.pending_s), _seconds(self.firing_s), over


def _seconds(value: float | None) -> str:
    return NEVER if value is None else f"{value:.0f} s"


def table(found: Iterable[Measured]) -> str:
    """Return the table in Markdown, one line for each alert and cause."""
    rows = [HEADER, tuple("---" for _ in HEADER), *(each.row() for each in found)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace(
        "| --- | --- | --- | --- | --- |", "|---" * 5 + "|"
    )


def load(path: Path) -> list[Measured]:
    """Return the results of earlier runs; none if there is no such file."""
    return [Measured(**each) for each in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def keep(path: Path, found: Sequence[Measured]) -> None:
    """Write a measurement, replacing the earlier one of the same alert and cause."""
    new = {(each.alert, each.cause) for each in found}
    kept = [each for each in load(path) if (each.alert, each.cause) not in new]
    every = sorted([*kept, *found], key=lambda each: (each.alert, each.cause))
    path.write_text(json.dumps([asdict(each) for each in every], indent=1) + "\n", encoding="utf-8")


def show(page: Path, found: Iterable[Measured]) -> None:
    """Replace the table of *page* by one of these; raises `ValueError` if it has no place for it."""
    before, marker, after = page.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise ValueError(f"{page} has no {MARKER.strip()}")
    _, _, rest = after.partition("\n\n")
    page.write_text(f"{before}{marker}{table(found)}\n{rest}", encoding="utf-8")
