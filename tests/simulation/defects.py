"""
Defects, each planted into the real code by replacing one function or one line of a script.

A simulation that does not find them would not find their like either.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from inventory_svc import scripts
from inventory_svc.store import Store as StockStore
from orders_svc import archive, customer_store, rows, sql
from orders_svc.allocation_store import AllocationStore
from orders_svc.ports import Answer, Placement, Request, Started
from orders_svc.session import connection
from orders_svc.store import Store
from runtime.messaging import consumer, relay
from runtime.messaging.message import message_of

Defect = Callable[[], contextlib.AbstractContextManager[Any]]


def acknowledge_before_commit() -> Any:
    """An order is answered before it is stored."""

    async def place(self: Any, placement: Placement) -> Answer:
        prepared = rows.prepare(placement)
        task = asyncio.create_task(self._placing.submit(prepared))
        task.add_done_callback(lambda done: done.exception())
        return Answer(prepared.snapshot)

    return mock.patch.object(Store, "place", place)


@contextlib.contextmanager
def drop_request_ids() -> Iterator[None]:
    """What a request was answered with is not remembered under its id."""

    def request(stored_request: Request | None) -> dict[str, object]:
        if stored_request is None:
            return dict.fromkeys(("customer", "request_id", "fingerprint"))
        return {
            "customer": stored_request.customer,
            "request_id": uuid.uuid4().hex,
            "fingerprint": stored_request.fingerprint,
        }

    async def find(self: Any, stored_request: Request) -> None:
        return None

    with mock.patch.object(rows, "_request", request), mock.patch.object(Store, "find_answer", find):
        yield


def _in_script(name: str, line: str, instead: str = "") -> Any:
    read = scripts._read_all

    def changed() -> dict[str, str]:
        texts = read()
        assert line in texts[name], f"{name} has no such line"
        texts[name] = texts[name].replace(line, instead, 1)
        return texts

    return mock.patch.object(scripts, "_read_all", changed)


def release_twice() -> Any:
    """A cancellation that comes again gives the units back again."""
    return _in_script("release", "if state == RELEASED then return { 'released' } end", "")


def sell_twice() -> Any:
    """A confirmation that comes again sells again."""
    return _in_script("commit", "if state == SOLD then return { 'sold', '[]' } end", "")


def skip_the_fence() -> Any:
    """A stock generation starts while orders are still being confirmed on the one before."""

    async def start_generation(self: Any, *, above: int = 0) -> Started:
        async with connection(self._pool) as session, session.transaction():
            generation = await session.fetchval(sql.START_GENERATION, above)
            return Started(generation, {row["product"]: row["units"] for row in await session.fetch(sql.SOLD)})

    return mock.patch.object(AllocationStore, "start_generation", start_generation)


def reorder_the_outbox() -> Any:
    """Rows go out with the newest first."""
    return mock.patch.object(relay, "waves", lambda found: [list(reversed(list(found)))])


def lose_pending_messages() -> Any:
    """Offsets are committed before the effect: a crash between loses the message."""

    async def consume_batch(reading: Any, handle: Any, limit: int, poll_s: float, ids: Any) -> None:
        messages = [message_of(each) for each in await reading.consume(limit, poll_s)]
        if messages:
            await consumer._commit(reading, messages, ids)
            await handle(messages)

    return mock.patch.object(consumer, "_consume_batch", consume_batch)


def forget_leases() -> Any:
    """No lease ever ends."""

    async def claim_expired(self: Any, **_: object) -> list[str]:
        return []

    return mock.patch.object(StockStore, "claim_expired", claim_expired)


def delete_what_kafka_refused() -> Any:
    """Rows are deleted from the outbox whether or not Kafka took them."""
    settle = relay.Relay._settle

    async def settled(self: Any, session: Any, wave: Sequence[Any], outcomes: Sequence[Any]) -> None:
        await settle(self, session, wave, [None] * len(outcomes))

    return mock.patch.object(relay.Relay, "_settle", settled)


def hold_what_is_not_there() -> Any:
    """A basket is held though there is not enough."""
    return _in_script("hold", "return unknown(wanted) or without_total(wanted) or missing(wanted)",
                      "return unknown(wanted) or without_total(wanted)")  # fmt: skip


def keep_the_name_in_versions() -> Any:
    """An erasure leaves the versions of orders as they were."""
    return mock.patch.object(customer_store, "_of_nobody", lambda snapshot: snapshot)


def forget_the_archive() -> Any:
    """An order that is archived is not looked for there."""

    async def places(session: Any, order_ids: Any) -> dict[uuid.UUID, Any]:
        return {}

    return mock.patch.object(archive, "places", places)


DEFECTS: dict[str, Defect] = {
    defect.__name__.replace("_", "-"): defect
    for defect in (
        acknowledge_before_commit,
        drop_request_ids,
        release_twice,
        sell_twice,
        skip_the_fence,
        reorder_the_outbox,
        lose_pending_messages,
        forget_leases,
        delete_what_kafka_refused,
        hold_what_is_not_there,
        keep_the_name_in_versions,
        forget_the_archive,
    )
}
