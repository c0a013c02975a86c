"""The effects that the faults of an experiment must have had: without them it has proved nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.guarantees import Verdict
from chaos.lab.figures import is_placed, status
from chaos.lab.history import Call, Outcome
from chaos.truth import StoredOrder


@dataclass(frozen=True)
class Seen:
    """What was observed from the first fault until the recovery."""

    calls: Sequence[Call]
    orders: Mapping[str, StoredOrder]
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)  # log lines, by service
    messages: Mapping[str, int] = field(default_factory=dict)  # messages that arrived, by topic
    leaders: tuple[str, str] = ("", "")  # PostgreSQL's leader, before and after
    unhealthy: frozenset[str] = frozenset()
    peaks: Mapping[str, int] = field(default_factory=dict)  # the maximum backlog at a time: pending, outbox


def unmet(wanted: Mapping[str, Any], seen: Seen) -> str:
    """Return what is missing for an expectation; empty if it is met."""
    [kind] = [kind for kind in KINDS if kind in wanted]
    found: str = KINDS[kind](wanted, seen)
    return found


def verdict(expect: Sequence[Mapping[str, Any]], seen: Seen) -> Verdict:
    """Return the verdict on all expectations."""
    return Verdict("the faults had their effect", len(expect), [text for each in expect if (text := unmet(each, seen))])


def allowed(answers: frozenset[int], calls: Sequence[Call]) -> Verdict:
    """Return the verdict on whether placed orders got only the responses that the experiment allows."""
    placing = [call for call in calls if call.operation == "place" and call.outcome is not Outcome.OPEN]
    others: dict[int, int] = {}
    for call in placing:
        if (found := status(call)) not in answers:
            others[found] = others.get(found, 0) + 1
    broken = [f"{count} got {code or 'no response'}" for code, count in sorted(others.items())]
    return Verdict("responses were as expected", len(placing), broken)


def _answer(wanted: Mapping[str, Any], seen: Seen) -> str:
    found = sum(call.operation == "place" and status(call) == wanted["answer"] for call in seen.calls)
    return _enough(wanted, found, f"orders got {wanted['answer']}")


def _log(wanted: Mapping[str, Any], seen: Seen) -> str:
    pattern = re.compile(wanted["match"])
    found = sum(bool(pattern.search(line)) for line in seen.lines.get(wanted["log"], ()))
    return _enough(wanted, found, f"lines of {wanted['log']} match {wanted['match']}")


def _topic(wanted: Mapping[str, Any], seen: Seen) -> str:
    return _enough(wanted, seen.messages.get(wanted["topic"], 0), f"messages arrived in {wanted['topic']}")


def _pending_end(wanted: Mapping[str, Any], seen: Seen) -> str:
    cancelled = {call.request["order"] for call in seen.calls if call.operation == "cancel"}
    pending = {call.response["order"] for call in seen.calls if is_placed(call) and call.response["state"] == "PENDING"}
    others = [name for name in pending - cancelled if _state(seen, name) != wanted["pending_end"]]
    if others:
        return f"{len(others)} pending orders did not become {wanted['pending_end']}, such as {others[0]}"
    return "" if pending else "no order was pending"


def _state(seen: Seen, name: str) -> str:
    return seen.orders[name].state if name in seen.orders else "lost"


def _leader(wanted: Mapping[str, Any], seen: Seen) -> str:
    before, after = seen.leaders
    changed = before != after
    return "" if changed is (wanted["leader"] == "changed") else f"the leader was {before} before and {after} after"


def _unhealthy(wanted: Mapping[str, Any], seen: Seen) -> str:
    part = wanted["unhealthy"]
    return (
        "" if any(name == part or name.startswith(f"{part}-") for name in seen.unhealthy) else f"{part} stayed healthy"
    )


def _slowest(wanted: Mapping[str, Any], seen: Seen) -> str:
    slowest = max((call.took_s for call in seen.calls if is_placed(call)), default=0.0)
    return "" if slowest >= wanted["slowest_s"] else f"the slowest order took {slowest:.2f} s"


def _waits(wanted: Mapping[str, Any], seen: Seen) -> str:
    return _enough(wanted, seen.peaks.get(wanted["waits"], 0), f"the largest backlog was ({wanted['waits']})")


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
    """The ends of a stack's logs at one time."""

    sizes: Mapping[Path, int]

    @classmethod
    def now(cls, folder: Path) -> LogMark:
        """Return the current ends of all logs in *folder*."""
        return cls({path: path.stat().st_size for path in folder.glob("*.log")})

    def lines(self, service: str) -> list[str]:
        """Return what the replicas of a service have logged since; of a rotated log, what it has."""
        found: list[str] = []
        for path, size in self.sizes.items():
            if re.fullmatch(rf"{re.escape(service)}(-\d+)?", path.stem):
                with path.open(encoding="utf-8", errors="replace") as file:
                    file.seek(size if path.stat().st_size >= size else 0)
                    found += file.readlines()
        return found
