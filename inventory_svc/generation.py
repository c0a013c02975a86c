"""The stock generation that a replica works on, and how far it has seen its history."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from inventory_svc.refusals import Rebuilding
from runtime import errors


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in the stock's history: its generation, and the sequence of the last event in it."""

    generation: int
    sequence: int = 0


class CurrentGeneration:
    """
    The generation in Redis, and whether the orders accept its holds.

    Whoever finds that this is no longer true calls `withdraw`, `fence` or `retire`; `doubted` wakes the recovery.
    """

    def __init__(self) -> None:
        self.doubted = asyncio.Event()
        self.retired = 0
        """The highest generation that is known to be wrong and must be replaced."""
        self._position: Position | None = None
        self._absence: errors.Error | None = None
        self._accepted = False

    @property
    def position(self) -> Position | None:
        """Return the position seen so far; None while there is no stock."""
        return self._position

    @property
    def accepted(self) -> bool:
        """Return whether orders are confirmed on holds of this generation."""
        return self._accepted

    @property
    def number(self) -> int:
        """Return the current generation; raises `Rebuilding`, or the reason why there is none."""
        return self.known().generation

    def known(self) -> Position:
        """
        Return the position seen so far; raise `Rebuilding`, or the reason why there is no stock.
        """
        if self._position is None:
            raise self._absence or Rebuilding()
        return self._position

    def require_accepted(self) -> None:
        """
        Raise `Rebuilding` if a hold would be refused by the orders.
        """
        self.known()
        if not self._accepted:
            raise Rebuilding

    def adopt(self, position: Position, *, accepted: bool = True) -> None:
        """
        Work on *position* from now on.
        """
        self._position = position
        self._absence = None
        self._accepted = accepted

    def fence(self) -> None:
        """
        Stop holding stock: orders would not accept the holds.
        """
        self._accepted = False

    def withdraw(self, because: errors.Error | None = None) -> None:
        """
        Work on no generation, and raise *because* to callers, else `Rebuilding`.
        """
        self._position = None
        self._absence = because
        self._accepted = False

    def advance(self, reached: Position) -> None:
        """
        Record the highest sequence seen; replies may arrive out of order.
        """
        if self._position is not None and self._position.generation == reached.generation:
            self._position = max(self._position, reached)

    def retire(self, generation: int) -> None:
        """
        Request a rebuild that replaces *generation*: its stock is wrong, or an event cannot be decided in it.
        """
        self.retired = max(self.retired, generation)
        self.doubted.set()
