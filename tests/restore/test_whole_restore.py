"""
Both copies of PostgreSQL and Kafka's whole log are lost while orders wait: a restore brings back all that was archived.

It takes over a minute, so `make test` leaves it out: make integration TESTS=tests/restore.
"""

import asyncio
import shutil

import psycopg
from psycopg.conninfo import make_conninfo

from shop_client import rest
from stack.describe import describe
from stack.topology.addresses import Port
from tests.support.waiting import eventually

PENDING = 5
ENDED_S = 60
RESTORE_S = 400


async def test_a_restore_ends_pending_orders_and_loses_nothing_that_was_archived(stack, edge, load):
    await asyncio.to_thread(stack.make, "backup")
    units = await on_hand(stack)
    confirmed = [await rest.place(edge, load.basket) for _ in range(3)]
    await asyncio.to_thread(stack.make, "stop", SVC="inventory")
    waiting = [await rest.place(edge, load.basket, f"restored-{number}") for number in range(PENDING)]
    assert {answer.status_code for answer in waiting} == {202}
    switched = await asyncio.to_thread(ask, stack, "SELECT pg_walfile_name(pg_switch_wal())")
    await eventually(lambda: asyncio.to_thread(archived, stack, switched), within_s=60)

    await asyncio.to_thread(stack.make, "down")
    for name in ("postgres-0", "postgres-1", "kafka-0"):
        shutil.rmtree(stack.settings.data / name)
    output = await asyncio.to_thread(stack.make, "restore", TO="latest", within_s=RESTORE_S)

    assert f"{PENDING} pending orders published again" in output
    names = [answer.json()["name"] for answer in (*confirmed, *waiting)]
    assert await rest.unconfirmed([edge], names, within_s=ENDED_S) == set()
    again = await rest.place(edge, load.basket, "restored-0")
    assert again.json()["name"] == waiting[0].json()["name"]
    assert await on_hand(stack) == units
    assert ", 0 left" in await asyncio.to_thread(stack.make, "reconcile")


async def on_hand(stack):
    """The units of each product, from a shop whose inventory may be stopped for a moment."""
    async with stack.client() as client:

        async def listed():
            answer = await client.get("/v1/products")
            return answer.json()["products"] if answer.status_code == 200 else None

        return {each["name"]: each["stock"]["onHand"] for each in await eventually(listed, within_s=ENDED_S)}


def archived(stack, segment):
    """Whether the WAL up to *segment*, which is ended, is archived."""
    last = ask(stack, "SELECT last_archived_wal FROM pg_stat_archiver")
    return last is not None and last >= segment


def ask(stack, question):
    """What the leading member of PostgreSQL answers."""
    plan = describe(stack.settings)
    address = make_conninfo(
        host=plan.postgres_hosts,
        port=Port.POSTGRES.value,
        user="postgres",
        password=plan.passwords.postgres_superuser,
        dbname="postgres",
        target_session_attrs="read-write",
    )
    with psycopg.connect(address, connect_timeout=5) as connection:
        return connection.execute(question).fetchone()[0]
