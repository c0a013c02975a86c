"""
The steps before serving from a PostgreSQL that was restored to an earlier moment.

1. A stock generation starts that is above every earlier one, those of the lost history included: it is the time in
seconds, which no number of rebuilds reaches. So no hold is valid, and the stock is rebuilt from the units that orders
own. 2. The consumers skip everything that was published before: the rebuild includes what is still true, and the rest
is about versions of orders that no longer exist. Dead letters are skipped as well. 3. Pending orders are published
again, since their messages may have been consumed in the lost history. 4. A notice is published for other consumers.

Repeating it does no harm.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orders_svc import wire
from orders_svc.order import Order
from orders_svc.ports import Allocations
from orders_svc.topics import ORDERS_RESTORED
from runtime.messaging.message import Record

PAGE = 500
REJOIN_S = 20.0
"""Twice the time after which Kafka knows that a member of a group is gone."""


class Restored(Protocol):
    """The part of the orders' database that this uses; raises `Unavailable`."""

    async def pending_after(self, order_id: uuid.UUID, *, limit: int) -> list[Order]:
        """Return pending orders whose ids are above *order_id*, in the order of their ids."""

    async def publish_again(self, order: Order) -> None:
        """Write the order's last change to the outbox again."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Write *records* to the outbox."""


@dataclass(frozen=True)
class Rewound:
    """The new generation, and how many pending orders were published again."""

    generation: int
    pending: int


async def rewind(
    books: Restored,
    allocations: Allocations,
    pass_over: Callable[[], Awaitable[None]],
    *,
    to: datetime,
    at: datetime,
) -> Rewound:
    """
    Bring the other stores in line with a database that was restored *to* a moment; *at* is when that was done.

    Raises `Unavailable` if a store was unavailable: then repeat it.
    """
    started = await allocations.start_generation(above=int(at.timestamp()))
    await pass_over()
    pending = await publish_pending(books)
    await books.publish([notice(to=to, at=at, generation=started.generation)])
    return Rewound(started.generation, pending)


async def publish_pending(books: Restored) -> int:
    """
    Publish every pending order again, whose message may be gone; return how many.
    """
    count, last = 0, uuid.UUID(int=0)
    while page := await books.pending_after(last, limit=PAGE):
        for order in page:
            await books.publish_again(order)
        count, last = count + len(page), page[-1].id
    return count


async def publish_lost(books: Restored, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> int:
    """
    Publish every pending order again after Kafka's topics were lost with their messages; return how many.

    A consumer that ran all the while goes on at its offset of the lost log, and so skips what the new log has below
    that, until it sees that the topic is another one. So what is pending once the consumers have joined their groups
    again is published once more.
    """
    count = await publish_pending(books)
    if count:
        await sleep(REJOIN_S)
        await publish_pending(books)
    return count


def notice(*, to: datetime, at: datetime, generation: int) -> Record:
    """Return the notice for consumers; a repeated one has the same key and id."""
    event = wire.orders_restored(to=to, at=at, generation=generation)
    return Record(ORDERS_RESTORED, event.event_id.encode(), event.SerializeToString(), {})
