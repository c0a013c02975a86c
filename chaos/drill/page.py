"""Puts what a drill measured into docs/sre.md: its table is made from docs/drill.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.drill.measured import COLUMNS, Measured, table, write
from stack.settings import CHECKOUT

FIGURES = CHECKOUT / "docs" / "drill.json"
PAGE = CHECKOUT / "docs" / "sre.md"


def record(found: Sequence[Measured], *, figures: Path = FIGURES, page: Path = PAGE) -> None:
    """
    Write the figures, and the page with the table that is made from them.
    """
    write(figures, found)
    page.write_text(with_table(page.read_text(encoding="utf-8"), found), encoding="utf-8")


def with_table(text: str, found: Sequence[Measured]) -> str:
    """
    Return the page's *text* with the table of *found* in the place of the one it has.
    """
    before, _, rest = text.partition(COLUMNS[0])
    if not rest:
        raise ValueError("the page has no table of a drill")
    lines = rest.split("\n")
    after = next(index for index, line in enumerate(lines) if index and not line.startswith("|"))
    return before + "\n".join([table(found), *lines[after:]])
