"""The faults of a soak: their times and targets, and that they are reverted."""

import asyncio
import functools
import sys

import httpx
import pytest

from chaos import breakage, soak
from chaos.breakage import LEADER, Fault, draw
from chaos.commands import FaultNotMade


@pytest.fixture
def commands(monkeypatch):
    """Record the commands on the stack instead of running them."""
    made = []

    async def command(*words):
        made.append(words[-2:])

    monkeypatch.setattr(breakage, "_command", command)
    return made


@pytest.fixture
def patroni(monkeypatch):
    """Serve Patroni's API of two members; the first does not answer, the second names the leader."""

    def answer(request):
        if request.url.host == "127.1.1.1":
            raise httpx.ConnectError("refused")
        members = [{"name": "postgres-0", "role": "sync_standby"}, {"name": "postgres-1", "role": "leader"}]
        return httpx.Response(200, json={"members": members})

    client = functools.partial(httpx.AsyncClient, transport=httpx.MockTransport(answer))
    monkeypatch.setattr(breakage.httpx, "AsyncClient", client)
    return ["127.1.1.1:8008", "127.1.1.2:8008"]


def test_a_seed_determines_the_faults():
    assert draw(7, within_s=60, kills=5) == draw(7, within_s=60, kills=5) != draw(8, within_s=60, kills=5)


def test_every_store_and_the_chosen_number_of_replicas_fail_in_order_of_time():
    faults = draw(7, within_s=60, kills=5)
    assert [each.after_s for each in faults] == sorted(each.after_s for each in faults)
    assert all(0 < each.after_s <= 60 for each in faults)
    assert {"kafka", "redis", LEADER} <= {each.target for each in faults}
    assert sum(each.target in breakage.REPLICAS for each in faults) == 5


async def test_the_leader_is_looked_up_when_the_fault_is_injected(commands, patroni):
    await breakage.run([Fault(0, LEADER, "kill", 0)], patroni, lambda _: None)
    assert commands == [("kill", "postgres-1"), ("start", "postgres-1")]


async def test_without_a_known_leader_nothing_is_killed(commands, patroni, monkeypatch):
    monkeypatch.setattr(breakage, "LEADER_LIMIT_S", 0)
    with pytest.raises(FaultNotMade, match=r"127\.1\.1\.1:8008"):
        await breakage.run([Fault(0, LEADER, "kill", 0)], patroni[:1], lambda _: None)
    assert commands == []


async def test_a_fault_is_reverted_before_it_is_injected_again(commands):
    twice = [Fault(0, "orders-0", "kill", 0.05), Fault(0.01, "orders-0", "kill", 0)]
    await breakage.run([*twice, Fault(0.02, "kafka", "stop", 0)], [], lambda _: None)
    of_orders = [action for action, target in commands if target == "orders-0"]
    assert of_orders == ["kill", "start", "kill", "start"]
    assert commands.index(("stop", "kafka")) < len(commands) - 2


async def test_a_fault_that_cannot_be_injected_ends_the_run_with_its_name(monkeypatch):
    happened = []

    async def command(*words):
        happened.append(words[-2:])
        if words[-2:] == ("kill", "orders-0"):
            raise FaultNotMade("kill orders-0 did not happen: nothing runs")

    monkeypatch.setattr(breakage, "_command", command)
    faults = [Fault(0, "redis", "stop", 60), Fault(0.01, "orders-0", "kill", 0), Fault(60, "kafka", "stop", 0)]
    with pytest.raises(FaultNotMade, match="kill orders-0 did not happen"):
        await asyncio.wait_for(breakage.run(faults, [], lambda _: None), 5)
    assert ("start", "redis") in happened
    assert ("stop", "kafka") not in happened


async def test_a_failed_command_is_a_fault_that_was_not_injected():
    with pytest.raises(FaultNotMade, match="x y did not happen: no such part"):
        await breakage._command(sys.executable, "-c", "import sys; sys.exit('no such part')", "x", "y")


async def test_an_interrupted_soak_reverts_its_faults(commands):
    running = asyncio.create_task(breakage.run([Fault(0, "redis", "stop", 60)], [], lambda _: None))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.05)
    assert commands == [("stop", "redis"), ("start", "redis")]


async def test_an_interrupted_soak_ends_once_its_faults_are_reverted(commands):
    faults = [Fault(0, "redis", "stop", 60), Fault(60, "kafka", "stop", 0)]
    buying = asyncio.create_task(asyncio.sleep(60))
    breaking = asyncio.create_task(breakage.run(faults, [], lambda _: None))
    soaking = asyncio.create_task(soak._both(buying, breaking))
    await asyncio.sleep(0.05)
    soaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soaking
    assert commands == [("stop", "redis"), ("start", "redis")]
    assert buying.cancelled()
