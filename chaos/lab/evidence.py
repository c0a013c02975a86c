"""Collects the state after an experiment, for the checkers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from chaos import truth
from chaos.guarantees import Facts
from chaos.lab.checks import Evidence, Snapshot, memory_of
from chaos.lab.environment import Addresses
from chaos.lab.history import Call
from chaos.truth import Published

SETTLE_S = 120.0
# Orders of this run only: a customer with a fixed name may have orders of an earlier run.
KEYS = "SELECT customer, request_id, order_id FROM idempotency_keys WHERE customer = ANY($1) AND create_time >= $2"
OWNERS = "SELECT customer, order_id FROM orders WHERE customer = ANY($1) AND create_time >= $2"


@dataclass(frozen=True)
class Owned:
    """What PostgreSQL stores for a run's customers."""

    keys: dict[tuple[str, str], str]
    owners: dict[str, str]


async def gather(
    addresses: Addresses,
    published: Callable[[], Published],
    began_at: datetime,
    calls: Sequence[Call],
    snapshots: Sequence[Snapshot],
) -> Evidence:
    """
    Wait until nothing is pending, then read everything; *published* reads `order_events`.

    Raises `NotRead` if a store stays down.
    """
    pending, waiting = await truth.settled(addresses.database_url, within_s=SETTLE_S)
    orders, counted, stock = await truth.stored_and_stock(
        addresses.database_url, addresses.edge.address, within_s=SETTLE_S
    )
    events = await asyncio.to_thread(published)
    facts = Facts(memory_of(calls), orders, events, stock, counted)
    owned = await _owned(addresses.database_url, sorted({call.client for call in calls}), began_at)
    return Evidence(calls, facts, owned.keys, owned.owners, snapshots, pending, waiting)


@truth.patiently("PostgreSQL")
async def _owned(database_url: str, customers: Sequence[str], began_at: datetime) -> Owned:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        keys = await connection.fetch(KEYS, customers, began_at)
        owners = await connection.fetch(OWNERS, customers, began_at)
    finally:
        await connection.close()
    return Owned(
        {(row["customer"], row["request_id"]): f"orders/{row['order_id']}" for row in keys},
        {f"orders/{row['order_id']}": row["customer"] for row in owners},
    )
