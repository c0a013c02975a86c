"""Makes a failing plan smaller, by leaving out faults and operations as long as it still fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tests.simulation.plan import Plan
from tests.simulation.run import Result

MAX_RUNS = 150


class Shrinking:
    """Runs smaller plans with *run*; at most *most* of them."""

    def __init__(self, run: Callable[[Plan], Result], failed: Result, *, most: int = MAX_RUNS) -> None:
        self._run = run
        self._left = most
        self.best = failed

    def shrink(self) -> Result:
        """
        Return the smallest run found that fails.
        """
        before = None
        while before is not self.best and self._left > 0:
            before = self.best
            self._without("faults")
            self._without("operations")
            if self.best.plan.resets:
                self._try(dataclasses.replace(self.best.plan, resets=0.0))
        return self.best

    def _without(self, part: str) -> None:
        """
        Leave out halves, then quarters, and so on to single ones.
        """
        size = max(1, len(getattr(self.best.plan, part)) // 2)
        while True:
            at = 0
            while at < len(present := getattr(self.best.plan, part)):
                smaller: dict[str, Any] = {part: present[:at] + present[at + size :]}
                if not self._try(dataclasses.replace(self.best.plan, **smaller)):
                    at += size
            if size == 1:
                return
            size //= 2

    def _try(self, plan: Plan) -> bool:
        if self._left <= 0:
            return False
        self._left -= 1
        result = self._run(plan)
        if result.problem is None:
            return False
        self.best = result
        return True
