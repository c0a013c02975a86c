"""The two sides of a partition: their processes, and where those listen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stack.topology.addresses import Endpoint
from stack.topology.processes import Process


class NoSuchPart(Exception):
    """A side does not name parts of the stack, or only shared ones; the message lists the parts."""


@dataclass(frozen=True)
class Side:
    """Some processes of a stack."""

    text: str
    names: tuple[str, ...]
    listens: tuple[Endpoint, ...]


def side(text: str, processes: Iterable[Process]) -> Side:
    """
    Return the processes that *text* names: parts separated by commas; `orders` is every replica with its sidecar.

    Raises `NoSuchPart`.
    """
    known = list(processes)
    found: dict[str, Process] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        meant = {each.name: each for each in known if each.name == part or each.name.startswith(f"{part}-")}
        if not meant:
            raise NoSuchPart(f"{part!r} is not a part of the stack; known are {', '.join(_parts(known))}")
        found |= meant
    if not found:
        raise NoSuchPart(f"no parts given; known are {', '.join(_parts(known))}")
    listens = tuple(sorted({endpoint for process in found.values() for endpoint in process.listens}))
    return Side(text, tuple(sorted(found)), listens)


def apart(one: Side, other: Side) -> None:
    """Raise `NoSuchPart` if the sides share a process."""
    shared = sorted(set(one.names) & set(other.names))
    if shared:
        raise NoSuchPart(f"{', '.join(shared)} cannot be on both sides")


def _parts(processes: Iterable[Process]) -> list[str]:
    names = {process.name for process in processes}
    return sorted(names | {name.split("-")[0] for name in names})
