"""What the faults of an experiment must have caused: without it, the experiment has proved nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.lab.figures import is_placed, status
from chaos.lab.history import Call, Outcome
from chaos.promises import Verdict
from chaos.truth import StoredOrder


@dataclass(frozen=True)
class Seen:
    """What was seen from the first fault until all was well again."""

    calls: Sequence[Call]
    orders: Mapping[str, StoredOrder]
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of the logs, by service
    messages: Mapping[str, int] = field(default_factory=dict)  # that came, by topic
    leaders: tuple[str, str] = ("", "")  # of PostgreSQL, before and after
    unhealthy: frozenset[str] = frozenset()
    peaks: Mapping[str, int] = field(default_factory=dict)  # the most that waited at a time: pending, outbox


def unmet(wanted: Mapping[str, Any], seen: Seen) -> str:
    """What is missing of an expectation; empty when it is met."""
    [kind] = [kind for kind in KINDS if kind in wanted]
    found: str = KINDS[kind](wanted, seen)
    return found


def verdict(expect: Sequence[Mapping[str, Any]], seen: Seen) -> Verdict:
    """The verdict on all expectations."""
    return Verdict("the faults had their effect", len(expect), [text for each in expect if (text := unmet(each, seen))])


def allowed(answers: frozenset[int], calls: Sequence[Call]) -> Verdict:
    """Whether placed orders were answered as the experiment says, and otherwise not."""
    placing = [call for call in calls if call.operation == "place" and call.outcome is not Outcome.OPEN]
    others: dict[int, int] = {}
    for call in placing:
        if (found := status(call)) not in answers:
            others[found] = others.get(found, 0) + 1
    broken = [f"{count} were answered {code or 'nothing'}" for code, count in sorted(others.items())]
    return Verdict("answers were those foreseen", len(placing), broken)


def _answer(wanted: Mapping[str, Any], seen: Seen) -> str:
    found = sum(call.operation == "place" and status(call) == wanted["answer"] for call in seen.calls)
    return _enough(wanted, found, f"orders were answered {wanted['answer']}")


def _log(wanted: Mapping[str, Any], seen: Seen) -> str:
    pattern = re.compile(wanted["match"])
    found = sum(bool(pattern.search(line)) for line in seen.lines.get(wanted["log"], ()))
    return _enough(wanted, found, f"lines of {wanted['log']} match {wanted['match']}")


def _topic(wanted: Mapping[str, Any], seen: Seen) -> str:
    return _enough(wanted, seen.messages.get(wanted["topic"], 0), f"messages came to {wanted['topic']}")


def _pending_end(wanted: Mapping[str, Any], seen: Seen) -> str:
    cancelled = {call.asked["order"] for call in seen.calls if call.operation == "cancel"}
    told = {call.told["order"] for call in seen.calls if is_placed(call) and call.told["state"] == "PENDING"}
    others = [name for name in told - cancelled if _state(seen, name) != wanted["pending_end"]]
    if others:
        return f"{len(others)} pending orders did not end {wanted['pending_end']}, such as {others[0]}"
    return "" if told else "no order was pending"


def _state(seen: Seen, name: str) -> str:
    return seen.orders[name].state if name in seen.orders else "lost"


def _leader(wanted: Mapping[str, Any], seen: Seen) -> str:
    before, after = seen.leaders
    changed = before != after
    return "" if changed is (wanted["leader"] == "changed") else f"{before} led before, {after} after"


def _unhealthy(wanted: Mapping[str, Any], seen: Seen) -> str:
    part = wanted["unhealthy"]
    return "" if any(name == part or name.startswith(f"{part}-") for name in seen.unhealthy) else f"{part} seemed well"


def _slowest(wanted: Mapping[str, Any], seen: Seen) -> str:
    slowest = max((call.took_s for call in seen.calls if is_placed(call)), default=0.0)
    return "" if slowest >= wanted["slowest_s"] else f"the slowest order took {slowest:.2f} s"


def _waits(wanted: Mapping[str, Any], seen: Seen) -> str:
    return _enough(wanted, seen.peaks.get(wanted["waits"], 0), f"waited at most ({wanted['waits']})")


def _enough(wanted: Mapping[str, Any], found: int, what: str) -> str:
    return "" if found >= wanted.get("at_least", 1) else f"{found} {what}"


KINDS = {
    "answer": _answer,
    "log": _log,
    "topic": _topic,
    "pending_end": _pending_end,
    "leader": _leader,
    "unhealthy": _unhealthy,
    "slowest_s": _slowest,
    "waits": _waits,
}


@dataclass(frozen=True)
class LogMark:
    """Where the logs of a stack ended at one time."""

    sizes: Mapping[Path, int]

    @classmethod
    def now(cls, folder: Path) -> LogMark:
        """The present end of every log in *folder*."""
        return cls({path: path.stat().st_size for path in folder.glob("*.log")})

    def lines(self, service: str) -> list[str]:
        """What the replicas of a service have logged since; of a log that was rotated, what it has."""
        found: list[str] = []
        for path, size in self.sizes.items():
            if re.fullmatch(rf"{re.escape(service)}(-\d+)?", path.stem):
                with path.open(encoding="utf-8", errors="replace") as file:
                    file.seek(size if path.stat().st_size >= size else 0)
                    found += file.readlines()
        return found
