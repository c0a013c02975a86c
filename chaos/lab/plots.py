"""Time series plots as inline SVG, with the faults as shaded bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from chaos.lab.faults import Band

WIDTH, HEIGHT = 960, 150
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 22
TICKS = 6
# Up to this many bands are labelled in the plot; all have a tooltip.
MAX_NAMED = 6
Point = tuple[float, float | None]


@dataclass(frozen=True)
class Line:
    """One line of a plot; a value of None is a gap."""

    name: str
    points: Sequence[Point]
    css: str  # its class: good, bad, calm


@dataclass(frozen=True)
class Plot:
    """Lines with a common axis."""

    title: str
    unit: str
    lines: Sequence[Line]


def svg(plot: Plot, *, bands: Sequence[Band], end_s: float, named: bool = False) -> str:
    """Return the plot from 0 to *end_s* seconds; with *named*, the bands are labelled at the top."""
    values = [value for line in plot.lines for _, value in line.points if value is not None]
    top = nice(max(values, default=0.0))
    scale = _Scale(end_s or 1.0, top)
    parts = [_band(band, scale, number, named=named) for number, band in enumerate(bands)]
    parts += _grid(scale, plot.unit)
    parts += [path for line in plot.lines for path in _paths(line, scale)]
    title = f"{plot.title}: {', '.join(line.name for line in plot.lines)}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">' + "".join(parts) + "</svg>"


def nice(value: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not less than *value*."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999)


@dataclass(frozen=True)
class _Scale:
    end_s: float
    top: float

    def x(self, at_s: float) -> float:
        share = min(max(at_s / self.end_s, 0.0), 1.0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = min(max(value / self.top, 0.0), 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _band(band: Band, scale: _Scale, number: int, *, named: bool) -> str:
    left, right = scale.x(band.begin_s), scale.x(band.end_s)
    tooltip = f"{band.description}, {band.begin_s:.1f} s to {min(band.end_s, scale.end_s):.1f} s"
    width, height = max(2.0, right - left), HEIGHT - TOP - BOTTOM
    box = f'<rect class="band" x="{left}" y="{TOP}" width="{width:.1f}" height="{height}">'
    name = ""
    if named and number < MAX_NAMED:
        # Near the right edge a label is placed left of the start of its band.
        late = left > WIDTH * 0.7
        anchor, x = ("end", left - 4) if late else ("start", left + 4)
        place = f'x="{x}" y="{TOP + 12 + 13 * number}" text-anchor="{anchor}"'
        name = f'<text class="name" {place}>{escape(band.description)}</text>'
    return f"{box}<title>{escape(tooltip)}</title></rect>{name}"


def _grid(scale: _Scale, unit: str) -> list[str]:
    parts = []
    for value in (0.0, scale.top / 2, scale.top):
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}{escape(unit)}</text>')
    step = nice(scale.end_s / TICKS)
    for tick in range(int(scale.end_s // step) + 1):
        x = scale.x(tick * step)
        parts.append(f'<text x="{x}" y="{HEIGHT - 6}" text-anchor="middle">{tick * step:g} s</text>')
    return parts


def _paths(line: Line, scale: _Scale) -> list[str]:
    """Return a path for each section without a gap."""
    stretches: list[list[str]] = [[]]
    for at_s, value in line.points:
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{scale.x(at_s)},{scale.y(value)}")
    return [
        f'<polyline class="{line.css}" points="{" ".join(points)}"><title>{escape(line.name)}</title></polyline>'
        for points in stretches
        if points
    ]
