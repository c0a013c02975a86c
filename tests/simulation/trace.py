"""What happened in a run, in its order: what was asked and answered, what failed, and what the services logged."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from tests.simulation.loop import PROCESS, Loop


@dataclass
class Trace:
    """The lines of one run; the same seed gives the same."""

    loop: Loop
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Exceptions that no code of ours expects, as the services logged them."""

    def note(self, who: str, what: str) -> None:
        """
        Add a line.
        """
        self.lines.append(f"{self.loop.time():9.4f} {who:12} {what}")

    def digest(self) -> str:
        """
        Return what two runs share only if they were the same, step for step.
        """
        return hashlib.sha256("\n".join([*self.lines, str(self.loop.steps)]).encode()).hexdigest()[:16]

    def logged(self, _: Any, level: str, event: MutableMapping[str, Any]) -> Any:
        """
        Add what a service logs, then drop it.
        """
        process = PROCESS.get()
        words = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
        self.note(process.name if process else "-", f"{level}: {event['event']} {words}"[:300])
        if event.get("exc_info"):
            error = sys.exc_info()[1] if event["exc_info"] is True else event["exc_info"]
            text = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
            self.faults.append(f"{event['event']} {words}\n{text}")
        raise structlog.DropEvent


@contextlib.contextmanager
def recorded(trace: Trace) -> Iterator[None]:
    """
    Have everything that is logged go into *trace*.
    """
    before = structlog.get_config()
    structlog.configure(processors=[trace.logged], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
