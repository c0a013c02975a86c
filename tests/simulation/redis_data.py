"""Redis's data and the commands that inventory and its scripts use; texts are bytes, as latin-1 has them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from tests.simulation.lua import run


class Stream:
    """Entries by id, the last id that there ever was."""

    def __init__(self) -> None:
        self.entries: list[tuple[tuple[int, int], list[str]]] = []
        self.last = (0, 0)


class Data:
    """One Redis's keys; *now* is its clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.keys: dict[str, Any] = {}
        self.expires: dict[str, float] = {}
        self.scripts: dict[str, str] = {}
        self.run_id = ""
        self.on_event: Callable[[str, dict[str, str]], None] | None = None
        """Is told of each entry of a stream, as it is appended."""

    def call(self, name: str, *arguments: str) -> Any:
        """
        Do one command, at once; raises `ResponseError`.
        """
        command = COMMANDS.get(name.upper())
        if command is None:
            raise ResponseError(f"unknown command {name}")
        return command(self, *arguments)

    def value(self, key: str, kind: type) -> Any:
        """
        Return what is at *key*, None if nothing is.
        """
        if key in self.expires and self.expires[key] <= self._now():
            self.drop(key)
        found = self.keys.get(key)
        if found is not None and not isinstance(found, kind):
            raise ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return found

    def made(self, key: str, kind: type) -> Any:
        """
        Return what is at *key*, made if nothing is.
        """
        found = self.value(key, kind)
        if found is None:
            found = self.keys[key] = kind()
        return found

    def drop(self, key: str) -> int:
        """
        Remove *key*; return how many there were.
        """
        self.expires.pop(key, None)
        return int(self.keys.pop(key, None) is not None)

    def tidy(self, key: str) -> None:
        """
        Remove *key* if nothing is in it, as Redis does.
        """
        if not self.keys.get(key, True):
            self.drop(key)

    def time(self) -> list[str]:
        """
        Return the seconds and microseconds of now.
        """
        micros = int(self._now() * 1_000_000)
        return [str(micros // 1_000_000), str(micros % 1_000_000)]

    def expire_after(self, key: str, ms: int) -> None:
        """
        Have *key* end after *ms*.
        """
        self.expires[key] = self._now() + ms / 1000


def _get(data: Data, key: str) -> Any:
    return data.value(key, str)


def _set(data: Data, key: str, value: str, *options: str) -> Any:
    words = [word.upper() for word in options]
    if "NX" in words and data.value(key, object) is not None:
        return None
    data.drop(key)
    data.keys[key] = value
    if "PX" in words:
        data.expire_after(key, int(options[words.index("PX") + 1]))
    return "OK"


def _delete(data: Data, *keys: str) -> int:
    return sum(data.drop(key) for key in keys if data.value(key, object) is not None)


def _exists(data: Data, *keys: str) -> int:
    return sum(data.value(key, object) is not None for key in keys)


def _pexpire(data: Data, key: str, ms: str) -> int:
    if data.value(key, object) is None:
        return 0
    data.expire_after(key, int(ms))
    return 1


def _pttl(data: Data, key: str) -> int:
    return int((data.expires[key] - data._now()) * 1000) if data.value(key, object) is not None else -2


def _hget(data: Data, key: str, name: str) -> Any:
    return (data.value(key, dict) or {}).get(name)


def _hmget(data: Data, key: str, *names: str) -> list[Any]:
    found = data.value(key, dict) or {}
    return [found.get(name) for name in names]


def _hgetall(data: Data, key: str) -> list[str]:
    return [each for pair in (data.value(key, dict) or {}).items() for each in pair]


def _hset(data: Data, key: str, *pairs: str) -> int:
    found = data.made(key, dict)
    before = len(found)
    found.update(zip(pairs[::2], pairs[1::2], strict=True))
    return len(found) - before


def _hdel(data: Data, key: str, *names: str) -> int:
    found = data.value(key, dict) or {}
    removed = sum(found.pop(name, None) is not None for name in names)
    data.tidy(key)
    return removed


def _hincrby(data: Data, key: str, name: str, by: str) -> int:
    found = data.made(key, dict)
    found[name] = str(int(found.get(name, "0")) + int(by))
    return int(found[name])


class Sorted(dict[str, float]):
    """A sorted set: scores by member."""

    def ordered(self) -> list[str]:
        """Return the members by score, then by name."""
        return sorted(self, key=lambda member: (self[member], member))


def _zadd(data: Data, key: str, *pairs: str) -> int:
    found = data.made(key, Sorted)
    before = len(found)
    for score, member in zip(pairs[::2], pairs[1::2], strict=True):
        found[member] = float(score)
    return len(found) - before


def _zrem(data: Data, key: str, *members: str) -> int:
    found = data.value(key, Sorted) or Sorted()
    removed = sum(found.pop(member, None) is not None for member in members)
    data.tidy(key)
    return removed


def _zcard(data: Data, key: str) -> int:
    return len(data.value(key, Sorted) or ())


def _part(members: list[str], options: tuple[str, ...]) -> list[str]:
    if not options:
        return members
    start, count = int(options[1]), int(options[2])
    return members[start : start + count] if count >= 0 else members[start:]


def _zrangebylex(data: Data, key: str, low: str, high: str, *options: str) -> list[str]:
    members = (data.value(key, Sorted) or Sorted()).ordered()
    if low != "-":
        members = [each for each in members if each > low[1:] or (low[0] == "[" and each == low[1:])]
    if high != "+":
        members = [each for each in members if each < high[1:] or (high[0] == "[" and each == high[1:])]
    return _part(members, options)


def _zrangebyscore(data: Data, key: str, low: str, high: str, *options: str) -> list[str]:
    found = data.value(key, Sorted) or Sorted()
    return _part([each for each in found.ordered() if float(low) <= found[each] <= float(high)], options)


def _page(names: list[str], cursor: str, count: int) -> tuple[str, list[str]]:
    # Like Redis's own, it returns what was there all the while, whatever comes and goes meanwhile.
    left = sorted(name for name in names if cursor == "0" or name > cursor)
    page = left[:count]
    return (page[-1] if len(left) > count else "0"), page


def _zscan(data: Data, key: str, cursor: str, *options: str) -> list[Any]:
    found = data.value(key, Sorted) or Sorted()
    after, page = _page(list(found), cursor, int(options[1]) if options else 10)
    return [after, [each for member in page for each in (member, _number(found[member]))]]


def _scan(data: Data, cursor: str, *options: str) -> list[Any]:
    words = dict(zip((word.upper() for word in options[::2]), options[1::2], strict=True))
    names = [key for key in list(data.keys) if data.value(key, object) is not None]
    after, page = _page(names, cursor, int(words.get("COUNT", 10)))
    return [after, [key for key in page if fnmatch.fnmatchcase(key, words.get("MATCH", "*"))]]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _place(text: str) -> tuple[int, int]:
    ms, _, sequence = text.partition("-")
    return int(ms), int(sequence or 0)


def _shown(entries: list[tuple[tuple[int, int], list[str]]]) -> list[Any]:
    return [[f"{place[0]}-{place[1]}", list(fields)] for place, fields in entries]


def _xadd(data: Data, key: str, entry: str, *fields: str) -> str:
    stream, place = data.made(key, Stream), _place(entry)
    if place <= stream.last:
        raise ResponseError("ERR The ID specified in XADD is equal or smaller than the target stream top item")
    stream.entries.append((place, list(fields)))
    stream.last = place
    if data.on_event is not None:
        data.on_event(entry, dict(zip(fields[::2], fields[1::2], strict=True)))
    return entry


def _xlen(data: Data, key: str) -> int:
    stream = data.value(key, Stream)
    return len(stream.entries) if stream else 0


def _xrange(data: Data, key: str, low: str, high: str, *options: str) -> list[Any]:
    stream = data.value(key, Stream)
    return _shown(stream.entries[: int(options[1])] if options else stream.entries) if stream else []


def _xread(data: Data, *words: str) -> Any:
    upper = [word.upper() for word in words]
    count = int(words[upper.index("COUNT") + 1])
    key, after = words[upper.index("STREAMS") + 1 :]
    stream = data.value(key, Stream)
    found = [each for each in stream.entries if each[0] > _place(after)][:count] if stream else []
    return [[key, _shown(found)]] if found else None


def _xtrim(data: Data, key: str, _: str, *words: str) -> int:
    stream = data.value(key, Stream)
    if stream is None:
        return 0
    before = len(stream.entries)
    stream.entries = [each for each in stream.entries if each[0] >= _place(words[-1])]
    return before - len(stream.entries)


def _xinfo(data: Data, _: str, key: str) -> list[Any]:
    stream = data.value(key, Stream)
    if stream is None:
        raise ResponseError("no such key")
    last = f"{stream.last[0]}-{stream.last[1]}"
    shown = ["length", len(stream.entries), "last-generated-id", last]
    return [*shown, "first-entry", None, "last-entry", None]


def _info(data: Data, *_: str) -> str:
    return f"run_id:{data.run_id}\r\nused_memory:1\r\nmaxmemory:0\r\n"


def _evalsha(data: Data, sha: str, count: str, *arguments: str) -> Any:
    if sha not in data.scripts:
        raise NoScriptError("NOSCRIPT No matching script")
    keys = int(count)
    return run(data.call, sha, data.scripts[sha], arguments[:keys], arguments[keys:])


def _flushall(data: Data, *_: str) -> str:
    data.keys.clear()
    data.expires.clear()
    return "OK"


COMMANDS: dict[str, Callable[..., Any]] = {
    "GET": _get,
    "SET": _set,
    "DEL": _delete,
    "UNLINK": _delete,
    "EXISTS": _exists,
    "PEXPIRE": _pexpire,
    "PTTL": _pttl,
    "TIME": Data.time,
    "HGET": _hget,
    "HMGET": _hmget,
    "HGETALL": _hgetall,
    "HSET": _hset,
    "HDEL": _hdel,
    "HINCRBY": _hincrby,
    "ZADD": _zadd,
    "ZREM": _zrem,
    "ZCARD": _zcard,
    "ZRANGEBYLEX": _zrangebylex,
    "ZRANGEBYSCORE": _zrangebyscore,
    "ZSCAN": _zscan,
    "SCAN": _scan,
    "XADD": _xadd,
    "XLEN": _xlen,
    "XRANGE": _xrange,
    "XREAD": _xread,
    "XTRIM": _xtrim,
    "XINFO STREAM": lambda data, key: _xinfo(data, "", key),
    "XINFO": _xinfo,
    "INFO": _info,
    "EVALSHA": _evalsha,
    "FLUSHALL": _flushall,
}
