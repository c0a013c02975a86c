"""The marker of the stock in Redis, and the lock of rebuilds."""

from __future__ import annotations

import contextlib

from redis.asyncio import Redis
from redis.exceptions import LockError, RedisError

from inventory_svc.generation import Position
from inventory_svc.scripts import EVENTS, FORMAT, MARKER, REBUILD_LOCK, unavailable
from inventory_svc.verdict import Found

LOCK_S = 10.0
"""After so long another replica takes over from one that died while it rebuilt."""
AWAY = (RedisError, OSError, TimeoutError)


class StockMarker:
    """The port `StockData` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def find(self) -> Found:
        """
        Return which stock is there; raises `Unavailable`.
        """
        try:
            fields = await self._redis.hmget(MARKER, ["generation", "sequence", "format"])
            streamed = await self._last_streamed()
            run = await self._run()
        except AWAY as error:
            raise unavailable(error) from error
        generation = int(fields[0] or 0)
        position = Position(generation, int(fields[1] or 0)) if generation and fields[2] == FORMAT else None
        return Found(position, max(generation, streamed), run)

    async def _run(self) -> str:
        return str((await self._redis.info("server"))["run_id"])

    async def _last_streamed(self) -> int:
        """
        Return the generation of the last event: the next one must not be smaller, or it cannot be appended.
        """
        if not await self._redis.exists(EVENTS):
            return 0
        last = (await self._redis.xinfo_stream(EVENTS))["last-generated-id"]
        return int(str(last).partition("-")[0])

    def rebuild_lock(self) -> RedisRebuildLock:
        """
        Return the lock of rebuilds, not acquired.
        """
        return RedisRebuildLock(self._redis)


class RedisRebuildLock:
    """The port `RebuildLock`; it expires after `LOCK_S`."""

    def __init__(self, redis: Redis) -> None:
        self._lock = redis.lock(REBUILD_LOCK, timeout=LOCK_S, blocking=False)

    @property
    def token(self) -> str:
        """Return the lock's value in Redis while it is ours."""
        token = self._lock.local.token
        return token.decode() if isinstance(token, bytes) else str(token)

    async def acquire(self) -> bool:
        """
        Return whether it is ours now; raises `Unavailable`.
        """
        try:
            return bool(await self._lock.acquire())
        except AWAY as error:
            raise unavailable(error) from error

    async def renew(self) -> bool:
        """
        Renew it for `LOCK_S`; False if it is no longer ours. Raises `Unavailable`.
        """
        try:
            await self._lock.reacquire()
        except LockError:
            return False
        except AWAY as error:
            raise unavailable(error) from error
        return True

    async def release(self) -> None:
        """
        Release it at once, if possible.
        """
        with contextlib.suppress(LockError, *AWAY):
            await self._lock.release()
