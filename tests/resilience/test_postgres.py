"""PostgreSQL's leader dies under load: the synchronous replica takes over, and nothing acknowledged is lost."""

import asyncio
import time

import pytest

from chaos import breakage
from stack.describe import describe
from stores import files
from tests.integration.conftest import RECOVERY_LIMIT_S
from tests.integration.load import NOT_NOW
from tests.support.waiting import eventually

BUYERS = 4


@pytest.fixture
def patroni(stack):
    return [str(address) for address in describe(stack.settings).patroni]


async def test_no_acknowledged_order_is_lost_when_postgresqls_leader_is_killed(stack, edge, load, patroni):
    leader = await breakage.leader(patroni)
    async with load.of(BUYERS):
        await asyncio.sleep(2)
        async with stack.killed(leader, load, orders=5 * BUYERS):
            assert await breakage.leader(patroni) != leader

    stored = [(await edge.get(f"/v1/{name}")).status_code for name in load.taken]
    assert stored == [200] * len(load.taken)
    assert {status for _, _, status, _ in load.answers} <= {201, 202} | NOT_NOW
    assert load.retry_after_missing == 0
    await eventually(lambda: both_copies(patroni), within_s=RECOVERY_LIMIT_S)


async def both_copies(patroni):
    """Return whether the returned member follows again, synchronously."""
    return sorted((await breakage.roles(patroni)).values()) == ["leader", "sync_standby"]


async def test_customers_do_not_notice_that_postgresqls_leader_is_restarted(stack, load, patroni):
    leader = await breakage.leader(patroni)
    await eventually(lambda: both_copies(patroni), within_s=RECOVERY_LIMIT_S)
    async with load.of(BUYERS):
        await asyncio.sleep(2)
        await asyncio.to_thread(stack.make, "restart", SVC=leader)
        moment = time.monotonic()
        await eventually(lambda: flowing(load, moment), within_s=RECOVERY_LIMIT_S)
    assert await breakage.leader(patroni) != leader
    assert {status for _, _, status, _ in load.answers} <= {201, 202}
    await eventually(lambda: both_copies(patroni), within_s=RECOVERY_LIMIT_S)


async def flowing(load, moment):
    """Return whether orders that began after *moment* are acknowledged."""
    return load.taken_since(moment)[5 * BUYERS :]


async def test_customers_do_not_notice_an_outage_of_etcd_longer_than_the_leaders_lease(stack, load, patroni):
    """Without etcd nobody could be elected; the leader continues because every member confirms it (failsafe mode)."""
    await eventually(lambda: both_copies(patroni), within_s=RECOVERY_LIMIT_S)
    leader = await breakage.leader(patroni)
    try:
        async with load.of(BUYERS):
            await asyncio.to_thread(stack.make, "stop", SVC="etcd")
            await asyncio.sleep(1.3 * files.patroni()["bootstrap"]["dcs"]["ttl"])
    finally:
        await asyncio.to_thread(stack.make, "start", SVC="etcd")
    assert {status for _, _, status, _ in load.answers} <= {201, 202}
    await eventually(lambda: both_copies(patroni), within_s=RECOVERY_LIMIT_S)
    assert await breakage.leader(patroni) == leader
