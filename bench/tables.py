"""Tables of rounds: the columns and their statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.latencies import Called
from bench.load import Measured
from bench.results import Cell, Row, Section

COLUMNS = {
    "orders/s": "orders_per_s",
    "p50 ms": "p50_ms",
    "p99 ms": "p99_ms",
    "p99.9 ms": "p999_ms",
    "CPU s per 1,000": "cpu_sum_s",
    "pending": "pending",
    "failed": "failed",
}
"""Of placed orders."""
NOT_MEASURED = "not measured"


def row(name: str, rounds: Sequence[Measured]) -> Row:
    """
    Return the statistics of rounds of one kind.
    """
    return Row(name, {column: [float(getattr(each, field)) for each in rounds] for column, field in COLUMNS.items()})


def row_of_calls(name: str, rounds: Sequence[Called], *, per_s: str = "orders/s") -> Row:
    """
    Return the statistics of rounds without CPU measurements.
    """
    fields = {per_s: "per_s", "p50 ms": "p50_ms", "p99 ms": "p99_ms", "p99.9 ms": "p999_ms", "failed": "failed"}
    return Row(name, {column: [float(getattr(each, field)) for each in rounds] for column, field in fields.items()})


def row_of_wrk(name: str, rounds: Sequence[Mapping[str, float]], *, per_s: str) -> Row:
    """
    Return the statistics of wrk's scripts.
    """
    cells: dict[str, Cell] = {
        per_s: [(each["calls"] - each["refused"]) / each["seconds"] for each in rounds],
        "failed": [each["refused"] + each["broken"] for each in rounds],
    }
    shown = {"p50 ms": "p50_ms", "p99 ms": "p99_ms", "p99.9 ms": "p999_ms"}
    return Row(name, cells | {column: [each[field] for each in rounds] for column, field in shown.items()})


def missing(name: str, why: object, *, column: str = "orders/s") -> Row:
    """
    Return a row with the reason why it has no values.
    """
    return Row(name, {column: f"{NOT_MEASURED}: {why}"})


def by_part(title: str, values: Mapping[str, Sequence[Mapping[str, float]]], note: str = "") -> Section:
    """
    Return a table of the use of each part in each round: *values* by row name.
    """
    parts = sorted({part for rounds in values.values() for each in rounds for part in each})
    rows = [
        Row(name, {part: [each.get(part, 0.0) for each in rounds] for part in parts} | {"sum": _sums(rounds)})
        for name, rounds in values.items()
    ]
    return Section(title, ("sum", *parts), rows, note=note, bars=parts, stacked=True)


def _sums(rounds: Sequence[Mapping[str, float]]) -> list[float]:
    return [sum(each.values()) for each in rounds]
