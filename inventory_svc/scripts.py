"""
Runs the Lua scripts in `lua/`.

Every script is given the generation that this replica knows and the highest
sequence that it saw in it; Redis refuses if it has another generation or less of
this one, which is how a running replica notices that data was lost.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from inventory_svc.generation import CurrentGeneration, Position
from inventory_svc.refusals import Rebuilding
from runtime import errors, spans

MARKER = "stock:marker"
EVENTS = "stock:events"
REBUILD_LOCK = "stock:rebuild"
RELAY_LOCK = "stock:relay"
FORMAT = "2"
"""The format of the data in Redis, as in `common.lua`; data of another one is not used."""
_LOST = ("GENERATION", "BEHIND")
# Errors of a Redis that can't accept writes right now; some have classes, some only a first word.
_NOT_NOW = (OutOfMemoryError, ReadOnlyError, MasterDownError)
_NOT_NOW_WORDS = ("MISCONF", "NOREPLICAS", "BUSY")
ALONE = {"activate", "unlink"}
"""Scripts that do not start with `common.lua`."""


class Scripts:
    """Calls scripts by file name, at the position that this replica knows."""

    def __init__(self, redis: Redis, current: CurrentGeneration) -> None:
        self._current = current
        self._scripts = {name: redis.register_script(text) for name, text in _read_all().items()}

    async def call(self, name: str, *arguments: str | int) -> list[Any]:
        """
        Run `lua/<name>.lua` on the stock and return its reply without the sequence.

        The events that it appends belong to the trace of the present span, if that is kept.

        Raises `Rebuilding` if the stock's data was lost, `Unavailable` if Redis
        does not answer.
        """
        position = self._current.known()
        values = [position.generation, position.sequence, *arguments, spans.kept_traceparent()]
        try:
            reply = cast(list[Any], await self._run(name, [MARKER, EVENTS, REBUILD_LOCK], values))
        except ResponseError as error:
            raise self._refused(error) from error
        self._current.advance(Position(position.generation, int(reply[0])))
        return reply[1:]

    async def call_alone(self, name: str, keys: list[str], *arguments: str | int) -> Any:
        """
        Run a script that does not start with `common.lua`; raises `Unavailable`.
        """
        try:
            return await self._run(name, keys, list(arguments))
        except ResponseError as error:
            raise unavailable(error) from error

    async def _run(self, name: str, keys: list[str], values: list[str | int]) -> Any:
        try:
            return await self._scripts[name](keys=keys, args=values)
        except ResponseError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    def _refused(self, error: ResponseError) -> errors.Error:
        word = str(error).partition(" ")[0]
        if word in _LOST:
            self._current.doubted.set()
            return Rebuilding()
        if word == Rebuilding.reason:
            return Rebuilding()
        if isinstance(error, _NOT_NOW) or word in _NOT_NOW_WORDS:
            return unavailable(error)
        return errors.Internal(f"a script failed: {error}")


def unavailable(error: Exception) -> errors.Unavailable:
    """
    Return the error for callers while Redis does not respond, or accepts no writes.
    """
    return errors.Unavailable(
        "the stock cannot be reached",
        reason="STOCK_UNAVAILABLE",
        metadata={"error": type(error).__name__},
        retry_after_s=1,
    )


def _read_all() -> dict[str, str]:
    """
    Return the scripts by name, each with the common part before it.
    """
    files = {path.name.removesuffix(".lua"): path.read_text() for path in _files() if path.name.endswith(".lua")}
    common = files.pop("common")
    return {name: text if name in ALONE else common + text for name, text in files.items()}


def _files() -> list[Any]:
    return list(resources.files("inventory_svc").joinpath("lua").iterdir())
