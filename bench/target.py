"""What a load is put on: a running stack of ours, or the naive one beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.parts import Parts
from stack.settings import Settings


@dataclass(frozen=True)
class Placed:
    """Orders that were taken so far, by what their clients were told."""

    confirmed: int
    pending: int

    def since(self, before: Placed) -> Placed:
        """Those that were taken after *before* was read."""
        return Placed(self.confirmed - before.confirmed, self.pending - before.pending)


class Target(Protocol):
    """Something that takes orders over REST; *name* is what results call it."""

    @property
    def name(self) -> str:
        """What results call it."""

    @property
    def settings(self) -> Settings:
        """The stack whose stores it uses."""

    @property
    def parts(self) -> Parts:
        """Its programs."""

    @property
    def products(self) -> tuple[str, ...]:
        """What it sells."""

    @property
    def edge(self) -> str:
        """Where its REST API is."""

    @property
    def tokens(self) -> Path | None:
        """A file with its customers' tokens, one a line; None where it asks for none."""

    @property
    def rows_in(self) -> str:
        """The name of the database that has its table `orders`."""

    def placed(self) -> Placed:
        """Return how many orders it has taken."""

    def come_to_rest(self) -> float:
        """Wait until nothing of the load waits any more; return the seconds that took."""

    def stop_inventory(self) -> None:
        """End inventory, and keep it down."""

    def start_inventory(self) -> None:
        """Start inventory again; it answers when this returns."""
