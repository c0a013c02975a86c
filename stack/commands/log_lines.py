"""
Parses the log lines of the various programs: their time and level, for merging and filtering.
"""

import heapq
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stack.errors import StackError

LEVELS = ("debug", "info", "warning", "error")
# The level names that the programs use; PostgreSQL's LOG and Redis's * are informational, Redis's # is a warning.
NAMES = {
    **dict.fromkeys(("debug", "trace"), 0),
    **dict.fromkeys(("info", "notice", "log", "*"), 1),
    **dict.fromkeys(("warning", "warn", "#"), 2),
    **dict.fromkeys(("error", "critical", "fatal", "panic", "severe"), 3),
}
LEVEL = re.compile(
    r'"level": ?"(\w+)"'  # our services and Envoy's access log
    r"|\[(debug|info|warning|error|critical) *\]"  # Envoy, our tasks
    r"|\b(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC|LOG)\b"  # Kafka, Patroni, PostgreSQL, supervisord
    r"|^\d+:[A-Z] .{24} ([*#]) "  # Redis
    r"|\blevel=(\w+)"  # Prometheus, etcd
)
STAMP = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?\d*(Z| UTC|\+00:00)?")
REDIS = re.compile(r"\b(\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3}) [*#.-]")
SPAN = re.compile(r"(\d+)([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
EARLIEST = datetime.min.replace(tzinfo=UTC)
MAX_LINE = 1 << 20


@dataclass(frozen=True)
class Line:
    """One line; a line without a time or a level takes those of the line before it."""

    time: datetime
    process: str
    level: int
    text: str


Wanted = Callable[[Line], bool]


def files(log: Path) -> list[Path]:
    """Return a log file and its rotated predecessors, oldest first."""
    rotated = [path for path in log.parent.glob(f"{log.name}.*") if path.suffix[1:].isdigit()]
    return [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), *([log] if log.exists() else [])]


def read(process: str, lines: Iterable[str]) -> Iterator[Line]:
    """Return the lines of one process in the order they were written."""
    time, level = EARLIEST, 1
    for text in lines:
        own = time_of(text)
        level = level_of(text, level if own is None else 1)
        # A clock that is set back must not reorder a log.
        time = max(time, own or time)
        yield Line(time, process, level, text.rstrip("\n"))


def merged(logs: Iterable[Iterator[Line]]) -> Iterator[Line]:
    """Merge the lines of several processes by time."""
    return heapq.merge(*logs, key=lambda line: line.time)


def contents(log: Path) -> Iterator[str]:
    """Yield every line of a log and of its rotated predecessors."""
    for path in files(log):
        with path.open(encoding="utf-8", errors="replace") as file:
            while line := file.readline(MAX_LINE):
                yield line


def time_of(text: str) -> datetime | None:
    """Return the timestamp of a line; local time unless it says UTC."""
    if found := REDIS.search(text):
        return datetime.strptime(found[1], "%d %b %Y %H:%M:%S.%f").astimezone()
    at = max(text.find('"timestamp":'), text.find('"start_time":'), 0)
    found = STAMP.search(text, at)
    if found is None:
        return None
    *numbers, fraction, zone = found.groups()
    try:
        text = "{}-{}-{}T{}:{}:{}".format(*numbers)
        time = datetime.fromisoformat(f"{text}.{(fraction or '0').ljust(6, '0')}")
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if zone else time.astimezone()


def level_of(text: str, otherwise: int) -> int:
    """Return the level of a line as an index into LEVELS."""
    found = LEVEL.search(text)
    name = next((group for group in found.groups() if group), "") if found else ""
    return NAMES.get(name.lower(), otherwise)


def wanted(*, since: str, match: str, level: str, now: datetime) -> Wanted:
    """
    Return the predicate for the lines that were asked for; without options, every line.

    Raises `StackError` that names the variable with an invalid value.
    """
    earliest = _since(since, now) if since else EARLIEST
    if level and level.lower() not in NAMES:
        raise StackError(f"LEVEL={level!r} is not one of {', '.join(LEVELS)}")
    lowest = NAMES[level.lower()] if level else 0
    try:
        pattern = re.compile(match)
    except re.error as error:
        raise StackError(f"MATCH={match!r} is not a valid regular expression: {error}") from error
    return lambda line: line.time >= earliest and line.level >= lowest and pattern.search(line.text) is not None


def about(lines: Wanted, ids: Sequence[str]) -> Wanted:
    """
    Return those *lines* that contain one of *ids*; all lines if there are no ids.
    """
    return lambda line: lines(line) and (not ids or any(each in line.text for each in ids))


def _since(text: str, now: datetime) -> datetime:
    if span := SPAN.fullmatch(text):
        try:
            return now - timedelta(**{UNITS[span[2]]: int(span[1])})
        except OverflowError:
            return EARLIEST
    try:
        clock = re.fullmatch(r"\d\d:\d\d(:\d\d)?", text)
        return datetime.fromisoformat(f"{now.astimezone().date()}T{text}" if clock else text).astimezone()
    except ValueError:
        raise StackError(
            f"SINCE={text!r} is neither a duration (90s, 10m, 2h, 1d) nor a time (11:20, ISO 8601)"
        ) from None


class Tail:
    """Follows one log from its current end, across rotations."""

    def __init__(self, process: str, log: Path) -> None:
        self._process, self._log = process, log
        self._inode, self._at = self._place()
        self._rest = ""

    def _place(self) -> tuple[int, int]:
        try:
            stat = os.stat(self._log)
        except FileNotFoundError:
            return 0, 0
        return stat.st_ino, stat.st_size

    def lines(self) -> Iterator[Line]:
        """Return the complete lines written since the last call."""
        inode, size = self._place()
        if inode != self._inode:
            yield from self._read(self._log.with_name(f"{self._log.name}.1"))
            self._inode, self._at = inode, 0
        elif size < self._at:
            # A task's log begins anew with each run.
            self._at, self._rest = 0, ""
        if size > self._at:
            yield from self._read(self._log)

    def _read(self, path: Path) -> Iterator[Line]:
        try:
            with path.open("rb") as file:
                file.seek(self._at)
                text = self._rest + file.read().decode(errors="replace")
                self._at = file.tell()
        except FileNotFoundError:
            return
        *whole, self._rest = text.split("\n")
        yield from read(self._process, whole)
