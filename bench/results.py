"""The results of a run: tables of medians with their spread, as text and as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = Sequence[float] | str
"""The rounds' values; or the reason why there are none."""


@dataclass(frozen=True)
class Row:
    """One measured subject: its values by column."""

    name: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Section:
    """One table; *bars* are the columns that the page draws, *stacked* if they are parts of a whole."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    note: str = ""
    bars: Sequence[str] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Report:
    """A whole run: its environment, and its tables."""

    facts: Mapping[str, str]
    sections: Sequence[Section] = field(default_factory=list)
    last_line: str = ""


def median(cell: Cell) -> float | None:
    """
    Return the median of a cell; None without values.
    """
    return None if isinstance(cell, str) or not cell else statistics.median(cell)


def shown(cell: Cell) -> str:
    """
    Return a cell as text: the median, and the lowest and the highest if they differ.
    """
    if isinstance(cell, str):
        return cell
    if not cell:
        return ""
    middle = figure(statistics.median(cell))
    return middle if min(cell) == max(cell) else f"{middle} ({figure(min(cell))} to {figure(max(cell))})"


def figure(value: float) -> str:
    """
    Return a number with three significant digits, whole from 100 on.
    """
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    # As many decimals as make three significant digits.
    return f"{value:.{min(3, 2 - math.floor(math.log10(abs(value))))}f}"


def text(report: Report) -> str:
    """
    Return the whole run as text.
    """
    lines = [f"{name}: {value}" for name, value in report.facts.items()]
    for section in report.sections:
        lines += ["", section.title, *([section.note] if section.note else []), *_table(section)]
    return "\n".join([*lines, "", report.last_line])


def document(report: Report) -> dict[str, Any]:
    """
    Return the whole run as JSON with every round's values.
    """
    return {
        "facts": dict(report.facts),
        "sections": [
            {
                "title": section.title,
                "note": section.note,
                "columns": list(section.columns),
                "rows": [
                    {"name": row.name, "cells": {n: _plain(c) for n, c in row.cells.items()}} for row in section.rows
                ],
            }
            for section in report.sections
        ],
        "last_line": report.last_line,
    }


def _shown_median(cell: Cell) -> str:
    middle = median(cell)
    return shown(cell) if middle is None else figure(middle)


def _plain(cell: Cell) -> str | list[float]:
    return cell if isinstance(cell, str) else list(cell)


def _table(section: Section) -> Iterable[str]:
    # A line has no room for the spread of every part.
    say = _shown_median if section.stacked else shown
    rows = [["", *section.columns]]
    rows += [[row.name, *(say(row.cells.get(column, ())) for column in section.columns)] for row in section.rows]
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  " + "  ".join(cells).rstrip()
