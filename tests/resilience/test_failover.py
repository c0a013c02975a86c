"""`make failover` hands the leader over under load, sees who leads, and counts what was lost."""

import asyncio

from chaos import breakage
from stack.describe import describe
from tests.integration.conftest import RECOVERY_LIMIT_S
from tests.support.waiting import eventually


async def test_a_switchover_is_measured_under_load_and_every_acknowledged_order_is_looked_for(stack):
    patroni = [str(address) for address in describe(stack.settings).patroni]

    async def complete():
        return sorted((await breakage.roles(patroni)).values()) == ["leader", "sync_standby"]

    await eventually(complete, within_s=RECOVERY_LIMIT_S)
    leader = await breakage.leader(patroni)
    output = await asyncio.to_thread(stack.make, "failover", HOW="switchover")

    successor = await breakage.leader(patroni)
    assert successor != leader
    assert f"before: {leader} leads; in sync: {successor}\nafter:  {successor} leads; in sync: {leader}\n" in output
    assert f"switchover {leader}: " in output
    lost, _, checked = output.partition("acknowledged orders lost: ")[2].splitlines()[0].partition(" of ")
    assert (int(lost), int(checked) > 20) == (0, True)
