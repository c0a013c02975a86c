"""Whether the data in Redis may be served: the known position compared with the one found afterwards."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from inventory_svc.generation import Position


@dataclass(frozen=True, slots=True)
class Found:
    """
    The data in Redis: *position* is None if there is no stock.

    *above* is the highest generation that is mentioned there; *run* changes whenever Redis is started.
    """

    position: Position | None
    above: int
    run: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reason for a rebuild, None if the data is up to date; *usable* if it may be read meanwhile."""

    found: Found
    reason: str | None = None
    _: KW_ONLY
    usable: bool = False
    above: int


def judge(found: Found, *, known: Position, accepted: int | None, retired: int) -> Verdict:
    """
    Return what to do about *found*.

    *known* is the known position of its history and *accepted* the generation that the orders accept (None: not
    known), both as they were before Redis was read; generations up to *retired* are to be replaced.
    """
    position = found.position
    above = max(found.above, known.generation)
    if position is None:
        return Verdict(found, "missing", above=above)
    if position < known:
        return Verdict(found, "behind", above=above)
    if accepted is not None and accepted != position.generation:
        return Verdict(found, "not accepted", usable=True, above=above)
    if position.generation <= retired:
        return Verdict(found, "retired", usable=True, above=above)
    return Verdict(found, usable=True, above=above)
