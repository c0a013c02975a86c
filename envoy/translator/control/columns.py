"""
Rows as aligned columns.
"""

from collections.abc import Sequence

# Between two columns, as istioctl prints them.
GAP = 5


def columns(rows: Sequence[Sequence[str]], *, gap: int = GAP) -> list[str]:
    """
    Return rows of the same length as lines with aligned columns.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    between = " " * gap
    return [between.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
