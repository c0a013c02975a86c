"""A PostgreSQL connection pool that finds the primary, also after a failover."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog
import tenacity
from asyncpg.connect_utils import SessionAttribute

from runtime.secret_file import SecretFile

# Errors of a server that starts, stops, is about to be promoted, or lacks a resource temporarily.
NOT_NOW = (
    OSError,
    TimeoutError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    # Errors of a session that the server ends during an exchange.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
    # Class 53: the disk or the memory is full, or there are too many connections.
    asyncpg.InsufficientResourcesError,
    # Class 57: the server shuts down, or ends this session or this statement, also after a timeout.
    asyncpg.OperatorInterventionError,
    # I/O errors, lock timeouts and deadlocks.
    asyncpg.PostgresIOError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
)

IDLE_S = 30.0
# A standby learns of a changed password a moment after the primary.
LOGIN_TRIES = 5
LOGIN_PAUSE_S = 0.1
_LEAST_ACQUIRE_S = 0.1

log = structlog.get_logger()


async def connect(
    url: str,
    *,
    password: SecretFile | None = None,
    role: str = "",
    max_connections: int = 8,
    connect_timeout_s: float = 3,
    statement_timeout_s: float = 5,
    wait_s: float = 60,
) -> asyncpg.Pool:
    """
    Return a pool of at most *max_connections* to the primary among *url*'s hosts, opened on demand.

    A connection idle for `IDLE_S` is closed: a server's connections are shared by all replicas. Waits up to *wait_s*
    for a primary, then raises the last error. With *password*, each login reads that file. With *role*, sessions have
    that role's rights, also after a `RESET`.
    """
    settings = {
        "statement_timeout": str(int(statement_timeout_s * 1000)),
        # Our statements take milliseconds. With few statistics the planner overestimates them and JIT-compiles each
        # again and again: measured, ten seconds for a batch of 100 orders on a busy machine.
        "jit": "off",
        **({"role": role} if role else {}),
    }

    async def opened() -> asyncpg.Pool:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=max_connections,
            max_inactive_connection_lifetime=IDLE_S,
            timeout=connect_timeout_s,
            command_timeout=statement_timeout_s,
            target_session_attrs=SessionAttribute.primary,
            server_settings=settings,
            reset=_leave_as_it_is,
            connect=partial(login, password),
        )

    return await _patiently(wait_s)(opened)


async def login(password: SecretFile | None, *words: Any, **options: Any) -> asyncpg.Connection:
    """
    Return a connection, opened with the first value of *password* that the server accepts.

    While a password changes, the file has the old and the new one, so that one is always valid.
    """
    if password is None:
        return await asyncpg.connect(*words, **options)
    for tries_left in reversed(range(LOGIN_TRIES)):
        for value in password.values():
            with suppress(asyncpg.InvalidPasswordError):
                connection: asyncpg.Connection = await asyncpg.connect(*words, **options, password=value)
                password.used(value)
                return connection
        if tries_left:
            await asyncio.sleep(LOGIN_PAUSE_S)
    raise asyncpg.InvalidPasswordError(f"no password in the file of {password.name} is taken")


async def _leave_as_it_is(_: Any) -> None:
    """
    Skip the statement with which the pool otherwise resets a session after each use.

    asyncpg itself has ended any open transaction. Code that changes more uses `own_session`.
    """


@asynccontextmanager
async def own_session(pool: asyncpg.Pool, *, timeout_s: float = 5) -> AsyncIterator[Any]:
    """
    Yield one of *pool*'s connections for code that changes a session: `SET`, `LISTEN`, a session's advisory locks.

    It is closed with the block, however that ends, so that no later user inherits any of it.
    """
    async with pool.acquire(timeout=timeout_s) as connection:
        try:
            yield connection
        finally:
            end_session(connection)


def end_session(connection: Any) -> None:
    """
    End *connection*'s session now; one that was lost has nothing left to end.
    """
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


@contextmanager
def ended_after(connection: Any, limit_s: float | None) -> Iterator[None]:
    """
    Close *connection* once it is used for longer than *limit_s*.

    Otherwise asyncpg would cancel its statement. A commit that waits for the synchronous replica must not be
    cancelled: PostgreSQL then makes it visible on one machine alone, and a retry would find the order. A session that
    has lost its client continues to wait.
    """
    if limit_s is None:
        yield
        return
    timer = asyncio.get_running_loop().call_later(limit_s, end_session, connection)
    try:
        yield
    finally:
        timer.cancel()


@asynccontextmanager
async def acquired(pool: asyncpg.Pool, *, wait_s: float) -> AsyncIterator[Any]:
    """
    Yield one of *pool*'s connections.

    Without a primary, as during a switchover, retries for *wait_s*, then raises the last error.
    """
    end = time.monotonic() + wait_s

    async def acquire() -> Any:
        return await pool.acquire(timeout=max(_LEAST_ACQUIRE_S, end - time.monotonic()))

    try:
        connection = await acquire()
    except NOT_NOW:
        # Only now: the check costs as much as the statement that usually follows.
        connection = await _again_for(max(0.0, end - time.monotonic()))(acquire)
    try:
        yield connection
    finally:
        await pool.release(connection)


def _again_for(wait_s: float) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(NOT_NOW),
        wait=tenacity.wait_random(0.02, 0.1),
        stop=tenacity.stop_after_delay(wait_s),
        reraise=True,
    )


async def host_of_primary(
    url: str, *, password: SecretFile | None = None, connect_timeout_s: float = 3, wait_s: float = 60
) -> str:
    """
    Return which `HOST:PORT` of *url* leads; waits up to *wait_s* for one, then raises `ConnectionError`.
    """
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")

    async def find() -> str:
        for host in hosts.split(","):
            with suppress(*NOT_NOW):
                one = urlunsplit(parts._replace(netloc=f"{user}@{host}"))
                connection = await login(
                    password, one, timeout=connect_timeout_s, target_session_attrs=SessionAttribute.primary
                )
                await connection.close(timeout=connect_timeout_s)
                return host
        raise ConnectionError(f"no primary among {hosts}")

    return await _patiently(wait_s)(find)


@asynccontextmanager
async def listening(connection: Any, channel: str, heard: Callable[[str], None]) -> AsyncIterator[None]:
    """
    Call *heard* with each notification of *channel*.
    """

    def listener(_: object, __: int, ___: str, payload: object) -> None:
        heard(str(payload))

    await connection.add_listener(channel, listener)
    try:
        yield
    finally:
        with suppress(*NOT_NOW):
            await connection.remove_listener(channel, listener)


def _patiently(wait_s: float) -> tenacity.AsyncRetrying:
    """
    Return what retries for *wait_s* while the database is unavailable, then raises the last error.
    """
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(NOT_NOW),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
        stop=tenacity.stop_after_delay(wait_s),
        before_sleep=_log_wait,
        reraise=True,
    )


def _log_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("waiting_for_postgresql", attempt=state.attempt_number, error=str(error))
