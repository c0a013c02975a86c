"""The target of a load: a running stack of ours, or the naive one beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.parts import Parts
from stack.settings import Settings


@dataclass(frozen=True)
class Placed:
    """The orders accepted so far, by the state in their responses."""

    confirmed: int
    pending: int

    def since(self, before: Placed) -> Placed:
        """Return those accepted after *before* was read."""
        return Placed(self.confirmed - before.confirmed, self.pending - before.pending)


class Target(Protocol):
    """A system that accepts orders over REST; *name* is its name in results."""

    @property
    def name(self) -> str:
        """Return its name in results."""

    @property
    def settings(self) -> Settings:
        """Return the stack whose stores it uses."""

    @property
    def parts(self) -> Parts:
        """Return its programs."""

    @property
    def products(self) -> tuple[str, ...]:
        """Return its products."""

    @property
    def edge(self) -> str:
        """Return the address of its REST API."""

    @property
    def tokens(self) -> Path | None:
        """Return the file with its customers' tokens, one a line; None if it needs none."""

    @property
    def rows_in(self) -> str:
        """Return the name of the database with its table `orders`."""

    def placed(self) -> Placed:
        """Return how many orders it has accepted."""

    def come_to_rest(self) -> float:
        """Wait until the load's backlog is empty; return the seconds that took."""

    def stop_inventory(self) -> None:
        """Stop inventory, and keep it down."""

    def start_inventory(self) -> None:
        """Start inventory again; it answers when this returns."""
