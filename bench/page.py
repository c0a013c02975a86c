"""A self-contained page of a run: its tables, with bars as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.results import Report, Section, figure, median, shown
from chaos.lab.plots import nice
from chaos.lab.report import STYLE

WIDTH, LEFT, RIGHT, BAR, GAP = 960, 230, 110, 18, 8
COLOURS = ("#1f6fb2", "#14804a", "#d08b1d", "#8a4fbf", "#c02626", "#3aa6a6", "#7a6a58", "#5a6875", "#b0508a", "#9aa53a")
OWN_STYLE = """
table { display: block; overflow-x: auto; } td, th { white-space: nowrap; } svg .whisker { stroke: var(--ink); }
.legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .3rem; vertical-align: -.1rem; }
"""


def page(report: Report) -> str:
    """
    Return the page of a run.
    """
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in report.facts.items()
    )
    body = [
        "<h1>What an order costs</h1>",
        f"<p><strong>{escape(report.last_line)}</strong></p>" if report.last_line else "",
        f"<dl>{facts}</dl>",
        "<p class='dim'>Medians; in brackets the lowest and the highest round, in plots the thin line.</p>",
        *(_section(section) for section in report.sections),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>What an order costs</title>'
    style = f"<style>{STYLE}{OWN_STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}{style}</head><body>{"".join(body)}</body></html>\n'


def bars(section: Section, column: str) -> str:
    """
    Return a bar for each row that has values of *column*, and a thin line from the lowest to the highest.
    """
    drawn = [(row.name, row.cells.get(column, ())) for row in section.rows]
    measured = [(name, [*cell]) for name, cell in drawn if cell and not isinstance(cell, str)]
    top = nice(max((max(values) for _, values in measured), default=0.0))
    parts = []
    for number, (name, values) in enumerate(measured):
        y, middle = GAP + number * (BAR + GAP), median(values) or 0.0
        parts.append(_label(name, y) + _bar(LEFT, y, _wide(middle, top), COLOURS[0], f"{name}: {shown(values)}"))
        low, high, line = LEFT + _wide(min(values), top), LEFT + _wide(max(values), top), y + BAR / 2
        parts.append(f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{line}" y2="{line}"/>')
        parts.append(f'<text x="{high + 6:.1f}" y="{y + 13}">{figure(middle)}</text>')
    return _svg(f"{section.title}: {column}", parts, len(measured))


def stacks(section: Section) -> str:
    """
    Return a stacked bar for each row, with the medians of all columns.
    """
    sums = [sum(median(row.cells.get(column, ())) or 0.0 for column in section.bars) for row in section.rows]
    top = nice(max(sums, default=0.0))
    parts = []
    for number, (row, whole) in enumerate(zip(section.rows, sums, strict=True)):
        x, y = float(LEFT), GAP + number * (BAR + GAP)
        parts.append(_label(row.name, y))
        for column, colour in zip(section.bars, _colours(section.bars), strict=True):
            value = median(row.cells.get(column, ())) or 0.0
            parts.append(_bar(x, y, _wide(value, top), colour, f"{row.name}, {column}: {figure(value)}"))
            x += _wide(value, top)
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 13}">{figure(whole)}</text>')
    return _svg(section.title, parts, len(section.rows))


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", f"<p class='dim'>{escape(section.note)}</p>" if section.note else ""]
    if section.stacked:
        named = zip(section.bars, _colours(section.bars), strict=True)
        legend = "".join(f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in named)
        parts.append(f'<div class="legend">{legend}</div>{stacks(section)}')
    else:
        parts += [f"<p>{escape(column)}</p>{bars(section, column)}" for column in section.bars]
    return "".join([*parts, _table(section)])


def _table(section: Section) -> str:
    head = "".join(f"<th class='number'>{escape(column)}</th>" for column in section.columns)
    rows = []
    for row in section.rows:
        cells = (escape(shown(row.cells.get(column, ()))) for column in section.columns)
        rows.append(f"<tr><td>{escape(row.name)}</td>{''.join(f'<td class=number>{cell}</td>' for cell in cells)}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _colours(names: Sequence[str]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(names))]


def _wide(value: float, top: float) -> float:
    return (WIDTH - LEFT - RIGHT) * value / top


def _label(name: str, y: float) -> str:
    return f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'


def _bar(x: float, y: float, width: float, colour: str, tooltip: str) -> str:
    box = f'<rect x="{x:.1f}" y="{y}" width="{max(0.0, width):.1f}" height="{BAR}" fill="{colour}">'
    return f"{box}<title>{escape(tooltip)}</title></rect>"


def _svg(title: str, parts: Sequence[str], rows: int) -> str:
    height = GAP + rows * (BAR + GAP)
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
