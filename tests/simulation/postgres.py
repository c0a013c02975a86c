"""
PostgreSQL as the services see it through asyncpg: sessions, transactions, locks, notifications.

Each statement goes over the network, takes its time, and commits or not; its answer may be lost on the way back. What
a transaction has written is seen by others when it has committed, and not before. A session that is lost, with its
client or its server, gives back its locks and forgets what it had not committed.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import asyncpg

from tests.simulation.locks import Locks
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.tables import STATEMENTS, Tables
from tests.simulation.virtual import EPOCH_S

COMMIT_S, SLOW_COMMIT_S = 0.002, 0.8
SLOW_COMMITS = 0.15
"""Of the commits, those that the second copy makes wait, while there are faults."""
UNSYNCED_S = 0.2
"""What was committed without waiting for the disk is on it after this time."""
NOTICE_S = 1.0
"""A server has noticed that a client died after this time at most."""
HOST = "postgres"


class Server:
    """The database server; *tables* outlive its crashes."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self.network = network
        self.tables = Tables()
        self.rng = rng
        self.up = True
        self._begin()

    def _begin(self) -> None:
        self.process = Process(HOST)
        self.locks = Locks()
        self.sessions: dict[Session, None] = {}
        self.unsynced: list[tuple[float, int, dict[str, Any]]] = []

    def crash(self) -> None:
        """
        Lose all that is not committed, and every session; up again with `restart`.
        """
        self.up = False
        now = asyncio.get_running_loop().time()
        for at, row_id, row in self.unsynced:
            if now - at < UNSYNCED_S and self.rng.random() < 0.5:
                self.tables.outbox[row_id] = row
        self.process.die()
        lost = list(self.sessions)
        self._begin()
        for session in lost:
            session.end()

    def restart(self) -> None:
        """
        Accept connections again.
        """
        self.up = True


class Session:
    """A connection as the server has it, and the client's end of it."""

    def __init__(self, server: Server, client: str) -> None:
        self.server = server
        self.client = client
        self.transaction: Transaction | None = None
        self.listening: dict[str, list[tuple[Callable[..., None], contextvars.Context]]] = {}
        self.ended = False
        self.closed = asyncio.Event()
        self.work: asyncio.Task[None] | None = None
        server.sessions[self] = None

    def end(self) -> None:
        """
        Roll back, give back every lock, and tell the client if it is there.
        """
        if self.ended:
            return
        self.ended = True
        if self.transaction is not None:
            self.transaction.end()
        self.server.locks.give_back_all(self)
        self.server.sessions.pop(self, None)
        self.closed.set()

    def try_lock(self, name: Any, *, shared: bool = False) -> bool:
        """
        Return whether this session has the advisory lock now.
        """
        return self.server.locks.try_take(self, ("advisory", name), shared=shared)

    def holders(self, name: Any) -> int:
        """
        Return how many sessions have the advisory lock.
        """
        return self.server.locks.holders(("advisory", name))

    def unlock(self, name: Any) -> None:
        """
        Give the advisory lock back.
        """
        self.server.locks.give_back(self, ("advisory", name))


class Transaction:
    """What a session has done since it began, to be committed as a whole."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.server = session.server
        self.tables = session.server.tables
        self._writes: list[Callable[[], Any]] = []
        self.committed = False

    def clock(self) -> datetime:
        """
        Return the server's time.
        """
        skew_s = self.server.process.skew_s
        return datetime.fromtimestamp(EPOCH_S + asyncio.get_running_loop().time() + skew_s, UTC)

    async def lock(self, name: Any, *, shared: bool = False) -> None:
        """
        Wait for a lock, until the transaction ends.
        """
        await self.server.locks.take(self, name, shared=shared)

    def write(self, change: Callable[[], Any]) -> None:
        """
        Have *change* made with the commit.
        """
        self._writes.append(change)

    def delete_row(self, row_id: int) -> None:
        """
        Delete a row of the outbox, which a crash soon after the commit may undo.
        """

        def delete() -> None:
            row = self.tables.outbox.pop(row_id, None)
            if row is not None:
                self.server.unsynced.append((asyncio.get_running_loop().time(), row_id, row))
                del self.server.unsynced[:-200]

        self.write(delete)

    def notify(self, channel: str, payload: str) -> None:
        """
        Have every listener called.
        """
        loop = asyncio.get_running_loop()
        for session in list(self.server.sessions):
            for heard, context in session.listening.get(channel, ()):
                delay_s = self.server.network.delay_s()
                loop.call_later(delay_s, heard, None, 0, channel, payload, context=context)

    async def commit(self) -> None:
        """
        Make every write at once, after the time that the disk and the second copy take.
        """
        if self._writes:
            slow = self.server.network.faulty and self.server.rng.random() < SLOW_COMMITS
            await asyncio.sleep((SLOW_COMMIT_S if slow else COMMIT_S) * self.server.rng.random())
        for change in self._writes:
            change()
        self.committed = True
        self.end()

    def end(self) -> None:
        """
        Give back the locks; what was not committed is forgotten.
        """
        self._writes = []
        self.server.locks.give_back_all(self)


class Connection:
    """The part of `asyncpg.Connection` that the services use."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._gone = False
        self._pending: asyncio.Future[Any] | None = None

    def is_closed(self) -> bool:
        """
        Return whether nothing can be sent any more.
        """
        return self._gone or self._session.ended

    def terminate(self) -> None:
        """
        Close this end now; the server hears of it later.
        """
        if not self._gone:
            self._gone = True
            self._fail()
            asyncio.get_running_loop().call_later(
                self._session.server.network.delay_s(), self._session.end, context=contextvars.Context()
            )

    def _fail(self) -> None:
        if self._pending is not None and not self._pending.done():
            self._pending.set_exception(asyncpg.ConnectionDoesNotExistError("connection was closed in the middle"))

    async def send(self, work: Callable[[], Any], limit_s: float = 5.0) -> Any:
        """
        Have the server do *work*, and return what that returns.
        """
        if self.is_closed():
            raise asyncpg.InterfaceError("connection is closed")
        if self._pending is not None:
            raise asyncpg.InterfaceError("another operation is in progress")
        done = self._pending = asyncio.get_running_loop().create_future()
        session = self._session
        if session.server.network.reset():
            # Before it arrives, or after it took effect: the client cannot tell.
            lost_at = session.server.rng.random() * 0.01
            asyncio.get_running_loop().call_later(lost_at, session.end, context=contextvars.Context())
        session.work = session.server.process.start(_serve(session, work, done))
        watching = session.server.process.start(self._watch(done))
        try:
            async with asyncio.timeout(limit_s):
                return await done
        except (asyncio.CancelledError, TimeoutError):
            self.terminate()
            raise
        finally:
            watching.cancel()
            self._pending = None

    async def _watch(self, done: asyncio.Future[Any]) -> None:
        await self._session.closed.wait()
        await self._session.server.network.travel(HOST, self._session.client)
        self._fail()

    async def _do(self, text: str, arguments: tuple[Any, ...], limit_s: float | None = None) -> Any:
        return await self.send(lambda: _execute(self._session, text, arguments), limit_s or 5.0)

    async def fetch(self, text: str, *arguments: Any, timeout: float | None = None) -> list[Any]:  # noqa: ASYNC109
        """
        Return all rows.
        """
        return await self._do(text, arguments, timeout)

    async def fetchrow(self, text: str, *arguments: Any) -> Any:
        """
        Return the first row, None if there is none.
        """
        rows = await self._do(text, arguments)
        return rows[0] if rows else None

    async def fetchval(self, text: str, *arguments: Any) -> Any:
        """
        Return the first value of the first row.
        """
        rows = await self._do(text, arguments)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, text: str, *arguments: Any) -> Any:
        """
        Return what the server says of it.
        """
        return await self._do(text, arguments)

    def transaction(self, **_: Any) -> InTransaction:
        """
        Return what begins a transaction, and commits it.
        """
        return InTransaction(self)

    async def begin(self) -> None:
        """
        Begin a transaction.
        """

        async def begin() -> None:
            self._session.transaction = Transaction(self._session)

        await self.send(begin)

    async def commit(self) -> None:
        """
        Commit it.
        """

        async def commit() -> None:
            transaction, self._session.transaction = self._session.transaction, None
            if transaction is not None:
                await transaction.commit()

        await self.send(commit)

    async def rollback(self) -> None:
        """
        Forget it.
        """

        async def rollback() -> None:
            transaction, self._session.transaction = self._session.transaction, None
            if transaction is not None:
                transaction.end()

        await self.send(rollback)

    async def add_listener(self, channel: str, heard: Callable[..., None]) -> None:
        """
        Have *heard* called with notifications.
        """
        context = contextvars.copy_context()

        async def listen() -> None:
            self._session.listening.setdefault(channel, []).append((heard, context))

        await self.send(listen)

    async def remove_listener(self, channel: str, _: Callable[..., None]) -> None:
        """
        Hear no more.
        """
        self._session.listening.pop(channel, None)


class InTransaction:
    """`async with connection.transaction()`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await self._connection.begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            await self._connection.commit()
        elif not self._connection.is_closed():
            await self._connection.rollback()


async def _serve(session: Session, work: Callable[[], Any], done: asyncio.Future[Any]) -> None:
    network = session.server.network
    await network.travel(session.client, HOST)
    if session.ended:
        return
    result: Any = None
    error: Exception | None = None
    try:
        result = await work()
    except Exception as raised:
        error = raised
    await network.travel(HOST, session.client)
    if not done.done() and not session.ended:
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


async def _execute(session: Session, text: str, arguments: tuple[Any, ...]) -> Any:
    if text.startswith("SET "):
        return "SET"
    statement = STATEMENTS[text]
    if session.transaction is not None:
        return await statement(session.transaction, *arguments)
    transaction = Transaction(session)
    try:
        result = await statement(transaction, *arguments)
        await transaction.commit()
        return result
    finally:
        transaction.end()


class Pool:
    """The part of `asyncpg.Pool` that the services use."""

    def __init__(self, server: Server, client: Process, *, max_size: int = 8) -> None:
        self._server = server
        self._client = client
        self._places = asyncio.Semaphore(max_size)
        self._idle: list[Connection] = []
        self._sessions: list[Session] = []
        client.on_death.append(self._notice_death)

    def _notice_death(self) -> None:
        loop = asyncio.get_running_loop()
        for session in self._sessions:
            loop.call_later(self._server.rng.random() * NOTICE_S, session.end, context=contextvars.Context())

    def acquire(self, *, timeout: float | None = None) -> Acquiring:
        """
        Return what acquires a connection.
        """
        return Acquiring(self, timeout)

    async def take(self, limit_s: float | None) -> Connection:
        """
        Return a connection, an idle one or a new one.
        """
        async with asyncio.timeout(limit_s):
            await self._places.acquire()
            try:
                while self._idle:
                    connection = self._idle.pop()
                    if not connection.is_closed():
                        return connection
                return await self._connect()
            except BaseException:
                self._places.release()
                raise

    async def _connect(self) -> Connection:
        async with asyncio.timeout(3):
            await self._server.network.travel(self._client.name, HOST)
            if not self._server.up:
                raise ConnectionRefusedError("nobody listens")
            session = Session(self._server, self._client.name)
            self._sessions = [each for each in self._sessions if not each.ended]
            self._sessions.append(session)
            await self._server.network.travel(HOST, self._client.name)
        return Connection(session)

    async def release(self, connection: Connection) -> None:
        """
        Give *connection* back.
        """
        if not connection.is_closed():
            self._idle.append(connection)
        self._places.release()

    async def executemany(self, text: str, calls: Any, *, timeout: float) -> None:  # noqa: ASYNC109
        """
        Send a statement several times.
        """
        async with self.acquire(timeout=timeout) as connection:
            for each in calls:
                await connection.execute(text, *each)


class Acquiring:
    """What `pool.acquire` returns: to be awaited, or entered."""

    def __init__(self, pool: Pool, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._connection: Connection | None = None

    def __await__(self) -> Any:
        return self._pool.take(self._timeout).__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.take(self._timeout)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await self._pool.release(self._connection)
