"""Which stock generation a replica may work on, and how far it has seen it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from inventory_svc.refusals import Rebuilding
from runtime import errors


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far the stock's history got: its generation, and the sequence of the last event in it."""

    generation: int
    sequence: int = 0


class CurrentGeneration:
    """
    The generation in Redis, and whether the orders accept its holds.

    What meets a sign that this is not true any more says so here; `doubted` wakes
    the recovery.
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
        """What has been seen; None while there is no stock to work on."""
        return self._position

    @property
    def accepted(self) -> bool:
        """Whether orders are confirmed on holds of this generation."""
        return self._accepted

    @property
    def number(self) -> int:
        """The generation to work on; raises `Rebuilding`, or why else there is none."""
        return self.known().generation

    def known(self) -> Position:
        """
        Return what has been seen; raises `Rebuilding`, or why else there is no stock.
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
        Work on nothing, *because* of something, else a rebuild.
        """
        self._position = None
        self._absence = because
        self._accepted = False

    def advance(self, reached: Position) -> None:
        """
        Remember the highest sequence seen; answers may come in another order than they were made.
        """
        if self._position is not None and self._position.generation == reached.generation:
            self._position = max(self._position, reached)

    def retire(self, generation: int) -> None:
        """
        Request a rebuild that replaces *generation*: its stock is wrong, or something cannot be decided in it.
        """
        self.retired = max(self.retired, generation)
        self.doubted.set()
