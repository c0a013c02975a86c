"""
What every client asked and was told, call by call, in memory and as JSON lines.

A call is invoked, and then it is ok, failed for certain, or unknown: an unknown call may have happened, once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any

# Enough for some minutes at full speed; an incomplete history proves nothing.
MAX_CALLS = 500_000


class Outcome(StrEnum):
    """What is known of a call after it ended."""

    OPEN = "open"
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass
class Call:
    """One call; times are in seconds since the run began."""

    number: int
    client: str
    operation: str  # place, read, list, cancel, watch, products
    began_s: float
    request: Mapping[str, Any]
    ended_s: float = float("inf")
    outcome: Outcome = Outcome.OPEN
    response: Mapping[str, Any] = field(default_factory=dict)

    @property
    def took_s(self) -> float:
        """Return the duration; infinite while the call is open."""
        return self.ended_s - self.began_s


class HistoryFull(Exception):
    """More calls were made than a history can hold."""


class History:
    """The calls of one run, written to *file* as they happen."""

    def __init__(self, file: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._began = clock()
        self.calls: list[Call] = []

    def now(self) -> float:
        """Return the seconds since the run began."""
        return self._clock() - self._began

    def invoked(self, client: str, operation: str, **request: Any) -> Call:
        """
        Record a call of *client*; raises `HistoryFull`.
        """
        if len(self.calls) >= MAX_CALLS:
            raise HistoryFull(f"more than {MAX_CALLS} calls")
        call = Call(len(self.calls), client, operation, self.now(), request)
        self.calls.append(call)
        self._write(call.began_s, call, "invoked", client=client, operation=operation, **request)
        return call

    def ended(self, call: Call, outcome: Outcome, **response: Any) -> None:
        """
        Record the end of *call*.
        """
        call.ended_s, call.outcome, call.response = self.now(), outcome, response
        self._write(call.ended_s, call, outcome.value, **response)

    def _write(self, at_s: float, call: Call, kind: str, **more: Any) -> None:
        self._file.write(json.dumps({"at_s": round(at_s, 4), "call": call.number, "type": kind, **more}) + "\n")
