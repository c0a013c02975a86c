"""Connections to Redis that are bounded, and whose tasks can be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError


def connect(url: str, *, connect_timeout_s: float, timeout_s: float, max_connections: int = 16) -> Redis:
    """
    Return a client of at most *max_connections*; a lost one is replaced once, at once.

    That repeats the command, which is safe: every script here is idempotent. A
    command that takes longer than *timeout_s* is not repeated.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=timeout_s,
        decode_responses=True,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (Cancellable, kind), {})
    return Redis.from_pool(pool)


class Cancellable:
    """
    Put before a class of redis-py's connections: a task that sends can be cancelled at any moment.

    redis-py limits a send with `asyncio.wait_for`, which before Python 3.12 forgets a
    cancellation that comes as the send ends (CPython issue 86296). A task that works with
    Redis in a loop then goes on, and the process does not end.
    """

    socket_timeout: float | None

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """
        Send, with redis-py's own limit replaced by one of the same length.
        """
        limit_s, self.socket_timeout = self.socket_timeout, None
        send: Any = super().send_packed_command  # type: ignore[misc]
        try:
            async with asyncio.timeout(limit_s):
                await send(command, check_health)
        finally:
            self.socket_timeout = limit_s
