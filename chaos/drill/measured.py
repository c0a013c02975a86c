"""What a drill measured, and the table that people read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

COLUMNS = (
    "| lost for good | RPO | RTO | longest without an order | acknowledged orders there | pending orders ended "
    "| differences left |",
    "|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Measured:
    """
    One loss: what was lost, and what was proven after it.

    *rpo_s* goes from the earliest acknowledged order that is gone to the loss, *rto_s* from the loss until orders are
    taken, and confirmed, again. *lost* orders were acknowledged and are gone; *kept* are there; *ended* were pending
    when it happened; *repaired* and *left* are the reconciliation's differences.
    """

    loss: str
    rpo_s: float
    lost: int
    rto_s: float
    silence_s: float
    kept: int
    ended: int
    repaired: int
    left: int

    def row(self) -> str:
        """
        Return a row of the table.
        """
        rpo = f"{self.rpo_s:.0f} s ({self.lost} orders)" if self.lost else "0"
        return (
            f"| {self.loss} | {rpo} | {self.rto_s:.0f} s | {self.silence_s:.0f} s | {self.kept} of {self.kept} "
            f"| {self.ended} of {self.ended} | {self.left} |"
        )


def table(found: Sequence[Measured]) -> str:
    """
    Return the table in Markdown, as docs/sre.md has it.
    """
    return "\n".join([*COLUMNS, *(each.row() for each in found)])


def write(file: Path, found: Sequence[Measured]) -> None:
    """
    Write what was measured, for `read`.
    """
    file.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n", encoding="utf-8")


def read(file: Path) -> list[Measured]:
    """
    Return what was measured.
    """
    return [Measured(**each) for each in json.loads(file.read_text(encoding="utf-8"))]


def shown(found: Sequence[Measured]) -> str:
    """
    Return the table for a terminal.
    """
    heads = ("LOST FOR GOOD", "RPO", "RTO", "SILENCE", "LOST", "THERE", "PENDING ENDED", "REPAIRED", "LEFT")
    rows = [
        (
            each.loss,
            f"{each.rpo_s:.1f} s",
            f"{each.rto_s:.1f} s",
            f"{each.silence_s:.1f} s",
            str(each.lost),
            str(each.kept),
            str(each.ended),
            str(each.repaired),
            str(each.left),
        )
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    return "\n".join(line.rstrip() for line in lines)
