"""Gathers what is there after an experiment, for the checkers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from chaos import truth
from chaos.lab.checks import Evidence, Snapshot, memory_of
from chaos.lab.history import Call
from chaos.promises import Facts
from stack.topology.plan import Plan

SETTLE_S = 120.0
KEYS = "SELECT customer, request_id, order_id FROM idempotency_keys WHERE customer LIKE $1"
OWNERS = "SELECT customer, order_id FROM orders WHERE customer LIKE $1"


@dataclass(frozen=True)
class Owned:
    """What PostgreSQL has of a run's customers."""

    keys: dict[tuple[str, str], str]
    owners: dict[str, str]


async def gather(plan: Plan, edge: str, run: str, calls: Sequence[Call], snapshots: Sequence[Snapshot]) -> Evidence:
    """
    Wait until nothing is pending, then read everything.

    Raises `NotRead` for a store that stays away.
    """
    pending, waiting = await truth.settled(plan.database_url, within_s=SETTLE_S)
    stock = await truth.stock_settled(edge, within_s=SETTLE_S)
    events = await asyncio.to_thread(truth.published, plan.kafka_brokers)
    counted = await truth.counted_units(plan.database_url)
    facts = Facts(memory_of(calls), await truth.orders_in(plan.database_url), events, stock, counted)
    owned = await _owned(plan.database_url, run)
    return Evidence(calls, facts, owned.keys, owned.owners, snapshots, pending, waiting)


@truth.patiently("PostgreSQL")
async def _owned(database_url: str, run: str) -> Owned:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        pattern = f"%{run}-%"
        keys = await connection.fetch(KEYS, pattern)
        owners = await connection.fetch(OWNERS, pattern)
    finally:
        await connection.close()
    return Owned(
        {(_client(row["customer"], run), row["request_id"]): f"orders/{row['order_id']}" for row in keys},
        {f"orders/{row['order_id']}": _client(row["customer"], run) for row in owners},
    )


def _client(customer: str, run: str) -> str:
    """A customer as the history knows it; the issuer may stand before it."""
    return customer[customer.index(run) :]
