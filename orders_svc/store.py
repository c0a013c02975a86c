"""Orders in PostgreSQL: each change with its history, its response and its events in one transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import structlog
from shop.orders.v1 import order_pb2

from orders_svc import archive, rows, sql, wire
from orders_svc.order import Change, Order, State, basket, fingerprint
from orders_svc.ports import Answer, Fenced, KeyTaken, Placement, Request, Stale, Stored, Unstorable
from orders_svc.session import connection
from runtime.batching import Batcher
from runtime.errors import Error, Unavailable
from runtime.messaging import outbox
from runtime.notifier import Notifier

LOST_WITHIN_S = 1.0
Result = TypeVar("Result")
log = structlog.get_logger()


class Store:
    """
    The orders' port on PostgreSQL; concurrent calls share statements and commits.

    *replica* is recorded with each change.
    """

    def __init__(
        self, pool: asyncpg.Pool, notifier: Notifier, *, replica: str | None = None, max_batch: int = 256
    ) -> None:
        self._pool = pool
        self._replica = replica
        self._notifier = notifier
        self._placing: Batcher[rows.Prepared, Answer] = Batcher(
            self._place_batch, name="store orders", max_batch=max_batch
        )
        self._finding: Batcher[Request, Stored | None] = Batcher(
            self._find_batch, name="find answers", max_batch=max_batch
        )

    async def find_answer(self, request: Request) -> Stored | None:
        """
        Return the stored response of the request's id.
        """
        return await self._finding.submit(request)

    async def _find_batch(self, requests: Sequence[Request]) -> list[Stored | Exception | None]:
        async def find() -> list[Stored | Exception | None]:
            async with connection(self._pool) as session:
                return list(await self._find(session, requests))

        return await _again(find)

    async def _find(self, session: Any, requests: Sequence[Request]) -> list[Stored | None]:
        found: list[Stored | None] = [None] * len(requests)
        looked = await session.fetch(sql.FIND.text, *rows.find_arguments(requests))
        places = archive.placed(row for row in looked if row["create_time"] is not None)
        archived = {(each["order_id"], each["version"]): each for each in await archive.versions(session, places)}
        for row in looked:
            version = row if row["snapshot"] is not None else archived.get((row["order_id"], row["version"]))
            if version is not None:
                found[row["number"] - 1] = _stored(row["fingerprint"], version["snapshot"])
        return found

    async def place(self, placement: Placement) -> Answer:
        """
        Store a new order and its response; raises `KeyTaken`, `Fenced` or `Unstorable`.
        """
        return await self._placing.submit(rows.prepare(placement))

    async def _place_batch(self, batch: Sequence[rows.Prepared]) -> Sequence[Answer | Exception]:
        try:
            return await _again(lambda: self._place_together(batch))
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            if len(batch) == 1:
                return [await self._unstorable(batch[0].placement, error)]
        # One of them is invalid; stored one by one, it fails alone.
        outcomes: list[Answer | Exception] = []
        for each in batch:
            try:
                outcomes += await self._place_batch([each])
            except (Error, asyncpg.PostgresError) as error:
                # Raised, it would be the outcome of those that are stored already too.
                outcomes.append(error)
        return outcomes

    async def _unstorable(self, placement: Placement, error: asyncpg.PostgresError) -> Exception:
        # It is there already if its request id was pruned, or erased with its customer, since it was looked for.
        if stored := await self.find_answer(placement.request):
            return KeyTaken(stored)
        # The error's detail quotes the row, and so the customer.
        log.error("order_not_storable", order=placement.order.name, error=str(error.args[0]))
        return Unstorable("the order can't be stored")

    async def _place_together(self, batch: Sequence[rows.Prepared]) -> list[Answer | Exception]:
        # Of duplicates in one batch the first is stored; the others find its response.
        unique = {each.placement.order.id: each for each in reversed(batch)}
        async with connection(self._pool) as session:
            placed = await session.fetch(sql.PLACE.text, *rows.place_arguments([*unique.values()], self._replica))
            stored = {id(unique[row["order_id"]]) for row in placed}
            self._announce(str(row["order_id"]) for row in placed)
            left = [each for each in batch if id(each) not in stored]
            found = await self._find(session, [each.placement.request for each in left]) if left else []
        answers = {id(each): answer for each, answer in zip(left, found, strict=True)}
        return [_outcome(each, id(each) in stored, answers.get(id(each))) for each in batch]

    async def get(self, order_id: uuid.UUID) -> Order | None:
        """
        Return the current order.
        """

        async def get() -> Order | None:
            async with connection(self._pool) as session:
                if (row := await session.fetchrow(sql.GET, order_id)) is not None:
                    return rows.order_of(row)
                archived = await archive.orders(session, await archive.places(session, [order_id]))
            return archived[0] if archived else None

        return await _again(get)

    async def generation(self) -> int:
        """
        Return the current stock generation.
        """
        async with connection(self._pool) as session:
            return int(await session.fetchval(sql.GENERATION))

    async def save(self, change: Change, request: Request | None = None, lease: datetime | None = None) -> Answer:
        """
        Store a transition of an order; raises `Stale`, `Fenced` or `KeyTaken`.

        *lease* is the expiry of the hold that it is confirmed on.
        """
        order, before = change.after, change.before
        if before is None:
            raise ValueError("a new order is placed, not saved")
        arguments = rows.save_arguments(change, before, request, lease, self._replica)
        try:
            async with connection(self._pool) as session:
                moved = await self._save(session, change, arguments)
        except asyncpg.UniqueViolationError as error:
            raise await self._conflict(request) from error
        if not moved:
            raise await self._standstill(change, before)
        self._announce([str(order.id)])
        return Answer(rows.snapshot_of(order))

    async def _save(self, session: Any, change: Change, arguments: Sequence[object]) -> int:
        if not change.moves_units:
            return int(await session.fetchval(sql.SAVE.text, *arguments))
        async with session.transaction():
            await session.execute(sql.LOCK_FENCE_SHARED)
            return int(await session.fetchval(sql.SAVE.text, *arguments))

    async def _conflict(self, request: Request | None) -> Stale | KeyTaken:
        stored = None if request is None else await self.find_answer(request)
        return Stale() if stored is None else KeyTaken(stored)

    async def _standstill(self, change: Change, before: Order) -> Stale | Fenced:
        if change.after.state is not State.CONFIRMED:
            return Stale()
        now = await self.get(before.id)
        return Fenced() if now is not None and now.version == before.version else Stale()

    def _announce(self, order_ids: Any) -> None:
        self._notifier.notify(sql.CHANGES, order_ids)
        self._notifier.notify(outbox.CHANNEL, [""])

    async def history(self, since: Mapping[uuid.UUID, int]) -> list[tuple[uuid.UUID, int, bytes]]:
        """
        Return for each order its versions from the given one on: id, version, serialized message.
        """
        async with connection(self._pool) as session:
            found = list(await session.fetch(sql.HISTORY, [*since], [*since.values()]))
            left = since.keys() - {row["order_id"] for row in found}
            archived = await archive.versions(session, await archive.places(session, left))
            found += [row for row in archived if row["version"] >= since[row["order_id"]]]
        return [(row["order_id"], row["version"], row["snapshot"]) for row in found]

    async def prune_keys(self, limit: int = 500) -> int:
        """
        Prune at most *limit* request ids that are older than their retention; return how many.
        """
        async with connection(self._pool) as session:
            return int((await session.execute(sql.PRUNE_KEYS, limit)).split()[-1])

    async def oldest_key_s(self) -> float:
        """
        Return the age of the oldest request id that is kept; 0 without any.
        """
        async with connection(self._pool) as session:
            return float((await session.fetch(sql.OLDEST_KEY))[0]["oldest_s"])

    async def list(
        self, *, customer: str | None, states: Sequence[State], before: tuple[datetime, uuid.UUID], limit: int
    ) -> list[Order]:
        """
        Return at most *limit* orders in *states* that are older than *before*, newest first.

        With *customer* None, of everybody, without those that are archived.
        """
        query, owner = (sql.LIST_ALL, []) if customer is None else (sql.LIST_OF_CUSTOMER, [customer])
        async with connection(self._pool) as session:
            return await archive.listed(session, await session.fetch(query, [*states], *before, limit, *owner))


async def _again(work: Callable[[], Awaitable[Result]]) -> Result:
    """
    Return what the idempotent *work* returns; a failure within `LOST_WITHIN_S` is retried once.

    A primary that hands over ends every session at once. Its successor is there within a second or two, but a whole
    batch of failed calls would make the edge eject this replica.
    """
    began = time.monotonic()
    try:
        return await work()
    except Unavailable:
        if time.monotonic() - began > LOST_WITHIN_S:
            raise
        return await work()


def _outcome(prepared: rows.Prepared, placed: bool, stored: Stored | None) -> Answer | Exception:
    if placed:
        return Answer(prepared.snapshot)
    return Fenced() if stored is None else KeyTaken(stored)


def _stored(known: bytes | None, snapshot: bytes) -> Stored:
    answer = Answer(snapshot, replayed=True)
    if known is not None:
        return Stored(known, answer)
    order = wire.order(order_pb2.Order.FromString(snapshot))
    return Stored(fingerprint("CreateOrder", *basket(order.lines)), answer)
