"""Bounded connections to Redis, whose tasks can be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.secret_file import SecretFile


def connect(
    url: str,
    *,
    password: SecretFile | None = None,
    connect_timeout_s: float,
    timeout_s: float,
    max_connections: int = 16,
) -> Redis:
    """
    Return a client of at most *max_connections*; a lost connection is replaced once, immediately.

    That repeats the command, which is safe: every script here is idempotent. A command that takes longer than
    *timeout_s* is not repeated. With *password*, each login of *url*'s user reads that file.
    """
    provided = {}
    if password is not None:
        # redis-py takes a user in the URL or a provider of credentials, not both.
        parts = urlsplit(url)
        provided["credential_provider"] = PasswordFile(parts.username, password)
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=timeout_s,
        decode_responses=True,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        **provided,
    )
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (Cancellable, kind), {})
    return Redis.from_pool(pool)


class PasswordFile(CredentialProvider):
    """The password of *user*, read from its file at each login."""

    def __init__(self, user: str | None, password: SecretFile) -> None:
        self._user = user
        self.password = password
        self.given = ""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the arguments of AUTH."""
        self.given = self.password.values()[0]
        return (self._user, self.given) if self._user else (self.given,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the same; redis-py's own logs a warning at each login."""
        return self.get_credentials()


async def log_in_anew(redis: Redis) -> None:
    """
    Close *redis*'s idle connections, so that later ones log in with the current password.
    """
    await redis.connection_pool.disconnect(inuse_connections=False)


class Cancellable:
    """
    A mixin for redis-py's connections: a task that sends can be cancelled at any moment.

    redis-py limits a send with `asyncio.wait_for`, which before Python 3.12 loses a cancellation that arrives as the
    send ends (CPython issue 86296). A task that uses Redis in a loop then continues, and the process does not end.
    """

    socket_timeout: float | None
    credential_provider: CredentialProvider | None

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """
        Log in, and log which password was accepted.
        """
        await super().on_connect_check_health(check_health)  # type: ignore[misc]
        provider = self.credential_provider
        if isinstance(provider, PasswordFile):
            provider.password.used(provider.given)

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
