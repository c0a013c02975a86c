"""
Runs the Lua scripts in `lua/` and knows which data of Redis they may work on.

Every script is told the generation that this replica knows and the highest
sequence that it saw in it; Redis refuses if it has another generation or less of
this one, which is how a running replica notices that data was lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib import resources
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import MasterDownError, NoScriptError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from inventory_svc.stock import Rebuilding
from runtime import errors

MARKER = "stock:marker"
EVENTS = "stock:events"
REBUILD_LOCK = "stock:rebuild"
RELAY_LOCK = "stock:relay"
_LOST = ("GENERATION", "BEHIND")
# Answers of a Redis that is there but can't take writes right now; some have classes, some only a first word.
_NOT_NOW = (OutOfMemoryError, ReadOnlyError, MasterDownError)
_NOT_NOW_WORDS = ("MISCONF", "NOREPLICAS", "BUSY")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far the stock's history got: its generation, and the sequence of the last event in it."""

    generation: int
    sequence: int = 0


class Scripts:
    """Calls scripts by their file's name, at the position that this replica knows."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.lost = asyncio.Event()
        """Set when Redis refused a script, so that somebody looks."""
        self._position: Position | None = None
        self._absence: errors.Error | None = None
        self._texts = _read_all()
        self._hashes: dict[str, str] = {}

    @property
    def position(self) -> Position | None:
        """What is known here; None while the stock must not be touched."""
        return self._position

    def adopt(self, position: Position | None, *, because: errors.Error | None = None) -> None:
        """
        Work on *position* from now on, or on nothing *because* of something, else a rebuild.
        """
        self._position = position
        self._absence = because

    @property
    def generation(self) -> int:
        """
        The generation to work on; raises `Rebuilding` or why else there is none.
        """
        return self._known().generation

    def _known(self) -> Position:
        if self._position is None:
            raise self._absence or Rebuilding()
        return self._position

    async def call(self, name: str, *arguments: str | int) -> list[Any]:
        """
        Run `lua/<name>.lua` on the stock and return its reply without the sequence.

        Raises `Rebuilding` if the stock's data was lost, `Unavailable` if Redis
        does not answer.
        """
        position = self._known()
        values = [position.generation, position.sequence, *arguments]
        try:
            reply = cast(list[Any], await self._evaluate(name, [MARKER, EVENTS], values))
        except ResponseError as error:
            raise self._refused(error) from error
        self._advance(Position(position.generation, int(reply[0])))
        return reply[1:]

    async def call_alone(self, name: str, keys: list[str], *arguments: str | int) -> Any:
        """
        Run a script that does not start with `common.lua`.
        """
        return await self._evaluate(name, keys, list(arguments))

    async def _evaluate(self, name: str, keys: list[str], values: list[str | int]) -> Any:
        try:
            return await self._evaluate_loaded(name, keys, values)
        except ResponseError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def _evaluate_loaded(self, name: str, keys: list[str], values: list[str | int]) -> Any:
        if name not in self._hashes:
            await self._load(name)
        try:
            return await self._evalsha(name, keys, values)
        except NoScriptError:
            await self._load(name)
            return await self._evalsha(name, keys, values)

    async def _load(self, name: str) -> None:
        self._hashes[name] = await self.redis.script_load(self._texts[name])

    async def _evalsha(self, name: str, keys: list[str], values: list[str | int]) -> Any:
        return await self.redis.evalsha(self._hashes[name], len(keys), *keys, *values)

    def _refused(self, error: ResponseError) -> errors.Error:
        word = str(error).partition(" ")[0]
        if word in _LOST:
            self.lost.set()
            return Rebuilding()
        if isinstance(error, _NOT_NOW) or word in _NOT_NOW_WORDS:
            return unavailable(error)
        return errors.Internal(f"a script failed: {error}")

    def _advance(self, reached: Position) -> None:
        """
        Remember the highest sequence seen; answers may come in another order than they were made.
        """
        if self._position is not None and self._position.generation == reached.generation:
            self._position = max(self._position, reached)


def unavailable(error: Exception) -> errors.Unavailable:
    """
    Return what callers are told while Redis does not answer.
    """
    return errors.Unavailable(
        "the stock cannot be reached",
        reason="STOCK_UNAVAILABLE",
        metadata={"error": type(error).__name__},
        retry_after_s=1,
    )


def _read_all() -> dict[str, str]:
    """
    Return the scripts by name, each with what they have in common before it.
    """
    files = {path.name.removesuffix(".lua"): path.read_text() for path in _files() if path.name.endswith(".lua")}
    common = files.pop("common")
    alone = {"start_generation"}
    return {name: text if name in alone else common + text for name, text in files.items()}


def _files() -> list[Any]:
    return list(resources.files("inventory_svc").joinpath("lua").iterdir())
