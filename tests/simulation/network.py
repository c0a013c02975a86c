"""The network between processes and stores: every message takes a time of its own, and links may be cut, each way."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

QUICK_S, SLOW_S = 0.0005, 0.4
SLOW_SHARE = 0.02
"""The share of messages that take up to `SLOW_S` while there are faults, and so arrive after later ones."""


@dataclass
class Network:
    """Carries messages between hosts; *rng* draws how long each takes, and whether a connection is reset."""

    rng: random.Random
    faulty: bool = False
    resets: float = 0.0
    """The share of messages that are lost with their connection while there are faults."""
    _cut: dict[tuple[str, str], int] = field(default_factory=dict)
    _healed: asyncio.Event = field(default_factory=asyncio.Event)

    def delay_s(self) -> float:
        """
        Return how long the next message takes.
        """
        if self.faulty and self.rng.random() < SLOW_SHARE:
            return self.rng.random() * SLOW_S
        return QUICK_S * (0.5 + self.rng.random())

    def reset(self) -> bool:
        """
        Return whether the connection of the next message is lost.
        """
        return self.faulty and self.rng.random() < self.resets

    def cut(self, source: str, target: str) -> None:
        """
        Cut the link from *source* to *target*, until each of its cuts is healed.
        """
        self._cut[source, target] = self._cut.get((source, target), 0) + 1

    def heal(self, source: str, target: str) -> None:
        """
        Take back one cut.
        """
        self._cut[source, target] -= 1
        if not self._cut[source, target]:
            del self._cut[source, target]
        self._healed.set()
        self._healed = asyncio.Event()

    def is_cut(self, source: str, target: str) -> bool:
        """
        Return whether nothing gets through.
        """
        return (source, target) in self._cut

    async def travel(self, source: str, target: str) -> None:
        """
        Return when a message from *source* is at *target*; one on a cut link goes on when it is healed, as TCP has it.
        """
        while (source, target) in self._cut:
            await self._healed.wait()
        await asyncio.sleep(self.delay_s())
        while (source, target) in self._cut:
            await self._healed.wait()
