"""With three of each store customers notice neither a lost broker nor a lost replica, and a lost leader for seconds."""

import asyncio
import time

import asyncpg
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from chaos import breakage
from stack.describe import describe
from stores import files
from tests.integration.conftest import RECOVERY_LIMIT_S
from tests.support.waiting import eventually

BUYERS = 4
LEASE_S = files.patroni()["bootstrap"]["dcs"]["ttl"]
# Kafka's own; it has four partitions and three copies like the others.
OFFSETS = "__consumer_offsets"


@pytest.fixture
def brokers(stack):
    return describe(stack.settings).kafka_brokers


def topics(brokers):
    """Return each topic's partitions, as (copies, copies in sync)."""
    found = AdminClient({"bootstrap.servers": brokers}).list_topics(timeout=10).topics
    return {
        name: [(len(each.replicas), len(each.isrs)) for each in topic.partitions.values()]
        for name, topic in found.items()
    }


async def in_sync(brokers, copies):
    """Return whether every partition of every topic has so many copies in sync."""
    try:
        found = await asyncio.to_thread(topics, brokers)
    except KafkaException:
        return False
    return {count for each in found.values() for _, count in each} == {copies}


async def nothing_waits(stack):
    """Return whether every event is published."""
    connection = await asyncpg.connect(describe(stack.settings).database_url, timeout=10)
    try:
        return await connection.fetchval("SELECT count(*) FROM outbox") == 0
    finally:
        await connection.close()


async def test_every_topic_has_three_copies_and_a_lost_broker_stops_neither_orders_nor_events(stack, load, brokers):
    assert {copies for each in topics(brokers).values() for copies, _ in each} == {3}
    await eventually(lambda: in_sync(brokers, 3), within_s=RECOVERY_LIMIT_S)
    async with load.of(BUYERS):
        async with stack.killed("kafka-1", load, orders=5 * BUYERS):
            await eventually(lambda: in_sync(brokers, 2), within_s=RECOVERY_LIMIT_S)
        await eventually(lambda: in_sync(brokers, 3), within_s=RECOVERY_LIMIT_S)
    assert OFFSETS in topics(brokers)
    assert {status for _, _, status, _ in load.answers} <= {201, 202}
    await eventually(lambda: nothing_waits(stack), within_s=RECOVERY_LIMIT_S)
    assert "0 left" in await asyncio.to_thread(stack.make, "reconcile")


async def test_with_two_brokers_lost_orders_are_taken_and_their_events_come_later(stack, load, brokers):
    async with load.of(BUYERS):
        await asyncio.to_thread(stack.make, "kill", SVC="kafka-0")
        async with stack.killed("kafka-2", load, orders=5 * BUYERS):
            moment = time.monotonic()
            await eventually(lambda: taken(load, moment), within_s=RECOVERY_LIMIT_S)
        await asyncio.to_thread(stack.make, "start", SVC="kafka-0")
        await eventually(lambda: in_sync(brokers, 3), within_s=RECOVERY_LIMIT_S)
    assert {status for _, _, status, _ in load.answers} <= {201, 202}
    await eventually(lambda: nothing_waits(stack), within_s=RECOVERY_LIMIT_S)


async def taken(load, moment):
    """Return whether orders that began after *moment* are acknowledged."""
    return load.taken_since(moment)[5 * BUYERS :]


@pytest.mark.parametrize(
    ("how", "part"), [("switchover", ""), ("lost", ""), ("lost", "postgres-replica"), ("lost", "kafka-0")]
)
async def test_a_failover_loses_no_acknowledged_order_and_three_members_run_afterwards(stack, how, part):
    output = await asyncio.to_thread(stack.make, "failover", HOW=how, SVC=part)
    assert "acknowledged orders lost: 0 of " in output
    [after] = [line for line in output.splitlines() if line.startswith("after:")]
    assert "in sync: postgres-" in after
    assert "another copy: postgres-" in after


async def test_a_copy_that_missed_orders_never_leads(stack, edge, load):
    patroni = [str(address) for address in describe(stack.settings).patroni]
    await eventually(lambda: complete(patroni), within_s=RECOVERY_LIMIT_S)
    leader = await breakage.leader(patroni)
    copies = sorted(set(await breakage.roles(patroni)) - {leader})
    async with load.of(BUYERS):
        for copy in copies:
            await asyncio.to_thread(stack.make, "kill", SVC=copy)
        moment = time.monotonic()
        await eventually(lambda: taken(load, moment), within_s=RECOVERY_LIMIT_S)
    await asyncio.to_thread(stack.make, "kill", SVC=leader)
    try:
        starting = [asyncio.create_task(asyncio.to_thread(start, stack, copy)) for copy in copies]
        await asyncio.sleep(LEASE_S + 10)
        assert "leader" not in (await breakage.roles(patroni)).values()
    finally:
        await asyncio.to_thread(stack.make, "start", SVC=leader)
        await asyncio.gather(*starting)
    await eventually(lambda: complete(patroni), within_s=RECOVERY_LIMIT_S)
    assert await breakage.leader(patroni) == leader
    stored = [(await edge.get(f"/v1/{name}")).status_code for name in load.taken]
    assert stored == [200] * len(load.taken)


def start(stack, part):
    """Start a copy, which is not healthy before there is a leader."""
    stack.make("start", SVC=part)


async def complete(patroni):
    """Return whether three members run, of which one is in sync."""
    return sorted((await breakage.roles(patroni)).values()) == ["leader", "replica", "sync_standby"]
