"""
Inventory's real scripts, run by Lua 5.1 in this process, as Redis runs them.

Texts are Python's, one character a byte, so that Lua sees the bytes that Redis has. A script is compiled once a
process and keeps nothing between two calls.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from lupa import lua51
from redis.exceptions import ResponseError

Call = Callable[..., Any]
LIBRARY = """
local python_call, python_encode, python_decode = ...
redis = {}
function redis.call(...)
  local reply = python_call(...)
  if reply == nil then return false end
  return reply
end
function redis.error_reply(text) return { err = text } end
function redis.status_reply(text) return { ok = text } end
cjson = { encode = python_encode, decode = python_decode }
"""
_current: list[Call] = []


@functools.cache
def _runtime() -> Any:
    runtime = lua51.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True, register_eval=False)
    runtime.execute(LIBRARY, _call, _encode, _decode)
    return runtime


@functools.lru_cache(maxsize=200)
def _compiled(sha: str, text: str) -> Any:
    # A script's first line may be a directive for Redis.
    body = text.partition("\n")[2] if text.startswith("#!") else text
    return _runtime().eval("function()\n" + body + "\nend")


def run(call: Call, sha: str, text: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
    """
    Run the script *text*, whose `redis.call` is *call*, and return its reply; raises `ResponseError`.
    """
    runtime = _runtime()
    values = runtime.globals()
    values.KEYS, values.ARGV = runtime.table_from(keys), runtime.table_from(arguments)
    _current.append(call)
    try:
        reply = _compiled(sha, text)()
    except lua51.LuaError as error:
        raise ResponseError(str(error)) from error
    finally:
        _current.pop()
    return _reply(reply)


def _call(name: str, *arguments: Any) -> Any:
    return _to_lua(_current[-1](name, *map(_text, arguments)))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    # As Lua writes numbers: 14 digits, no point for whole ones.
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.14g}"


def _to_lua(value: Any) -> Any:
    if isinstance(value, list):
        return _runtime().table_from([False if each is None else _to_lua(each) for each in value])
    return value


def _reply(value: Any) -> Any:
    if value is None or value is False:
        return None
    if value is True:
        return 1
    if isinstance(value, float):
        return int(value)
    if lua51.lua_type(value) != "table":
        return value
    if value["err"] is not None:
        raise ResponseError(value["err"])
    if value["ok"] is not None:
        return value["ok"]
    found = []
    for index in range(1, len(value) + 1):
        each = value[index]
        if each is None:
            break
        found.append(_reply(each))
    return found


def _encode(value: Any) -> str:
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    count = len(value)
    if count == 0:
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(value[index]) for index in range(1, count + 1)]


def _decode(text: str) -> Any:
    return _table(json.loads(text))


def _table(value: Any) -> Any:
    if isinstance(value, list):
        return _runtime().table_from([_table(each) for each in value])
    if isinstance(value, dict):
        return _runtime().table_from({name: _table(each) for name, each in value.items()})
    return value
