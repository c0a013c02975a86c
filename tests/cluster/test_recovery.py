"""Pods die under load: how long no order is acknowledged, and that no acknowledged one is lost."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from k8s.kubectl import NAMESPACE, kubectl
from shop_client import rest
from tests.cluster import pods
from tests.cluster.experiment import RECOVERY_LIMIT_S, check, experiment, settled
from tests.cluster.load import Shop

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("whole")]


# A call in flight through a killed edge is not retried; a missing hold makes an order pending.
@pytest.mark.parametrize("app", ["orders", "inventory", "kafka"])
async def test_customers_do_not_notice_that_a_pod_is_killed(shop, products, outcomes, app):
    outcome = await experiment(shop, products, f"kill one pod of {app}", lambda: pods.kill(pods.of(app)[0]))
    check(outcome, outcomes)
    assert outcome.failed == []


@pytest.mark.parametrize("app", ["edge", "redis"])
async def test_orders_resume_after_a_pod_is_killed(shop, products, outcomes, app):
    outcome = await experiment(shop, products, f"kill one pod of {app}", lambda: pods.kill(pods.of(app)[0]))
    check(outcome, outcomes)


async def test_customers_do_not_notice_that_kafka_moves_its_coordinators(shop, products, outcomes):
    """A returning broker gets its partitions back, among them those whose leaders coordinate the groups."""
    broker, _ = pods.coordinator()
    pods.kill(broker)
    await settled()

    def move() -> None:
        deadline = time.monotonic() + RECOVERY_LIMIT_S
        while pods.coordinator() != (broker, True) and time.monotonic() < deadline:
            pods.move_leaders_back()

    outcome = await experiment(shop, products, "move Kafka's leaders back to a broker", move)
    check(outcome, outcomes)
    assert outcome.failed == []
    assert pods.coordinator() == (broker, True)


async def test_orders_resume_after_the_leader_of_postgresql_is_killed(shop, products, outcomes):
    leader = pods.member("leader")
    outcome = await experiment(shop, products, "kill PostgreSQL's leader", lambda: pods.kill(leader))
    check(outcome, outcomes)
    assert pods.member("leader"), "somebody leads"


async def test_orders_continue_and_health_is_degraded_while_a_replica_is_missing(shop, products, outcomes, facts):
    standby, seen = pods.member("sync_standby"), []

    def kill_and_look() -> None:
        # Kubernetes restarts it within seconds, so it is killed until a probe has looked in between.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (seen and min(seen) < 2):
            pods.kill(standby)
            seen.extend(pods.copies() for _ in range(5))

    outcome = await experiment(shop, products, "kill PostgreSQL's synchronous replica", kill_and_look)
    check(outcome, outcomes)
    assert min(seen) < 2, f"Patroni's health never said that a copy is missing: {seen}"
    facts.append(f"while the synchronous replica was gone, /cluster counted {min(seen)} of 2 copies")


async def test_orders_are_accepted_while_every_inventory_pod_is_killed(shop, products, outcomes):
    outcome = await experiment(shop, products, "kill every pod of inventory", lambda: pods.kill(*pods.of("inventory")))
    check(outcome, outcomes)
    pending = [each.name for each in outcome.acknowledged if each.status == 202]
    assert pending, "no order was PENDING"
    await all_confirmed(shop, pending)
    text = await asyncio.to_thread(pods.topic, "pending_orders")
    assert [name for name in pending if name.removeprefix("orders/") not in text] == []


async def test_an_order_without_inventory_waits_in_kafka_and_is_confirmed_later(shop, products, outcomes, facts):
    def scale(replicas: int) -> None:
        kubectl("scale", "deployment", "inventory", "-n", NAMESPACE, f"--replicas={replicas}")

    try:
        scale(0)
        await pods.until(lambda: not pods.uids("inventory"), within_s=90, what="inventory is gone")
        name = await pending_order(shop, products[0])
        outcome = await experiment(shop, products, "scale inventory to 0", lambda: None)
        text = await asyncio.to_thread(pods.topic, "pending_orders")
        assert name.removeprefix("orders/") in text
    finally:
        scale(2)
    began = time.monotonic()
    check(outcome, outcomes)
    assert {each.status for each in outcome.acknowledged} == {202}
    await all_confirmed(shop, [name, *(each.name for each in outcome.acknowledged)])
    facts.append(
        f"inventory back from 0: {len(outcome.acknowledged) + 1} pending orders confirmed "
        f"{time.monotonic() - began:.0f} s after its return was asked for"
    )


async def pending_order(shop: Shop, product: str) -> str:
    """Place one order twice with the same key; both responses must be the same pending order."""
    order, key = rest.basket(product), str(uuid.uuid4())
    async with shop.client() as client:
        first = await rest.place(client, order, key)
        again = await rest.place(client, order, key)
    assert first.status_code == 202, first.text
    assert first.json()["state"] == "PENDING"
    assert again.json()["name"] == first.json()["name"]
    return str(first.json()["name"])


async def all_confirmed(shop: Shop, names: list[str]) -> None:
    """Wait until the saga has confirmed every order."""
    async with shop.client() as client:
        waiting = await rest.unconfirmed([client], names, within_s=RECOVERY_LIMIT_S, every_s=1)
    assert not waiting, f"{len(waiting)} of {len(names)} orders were not confirmed"


async def test_a_rolling_restart_fails_no_request(shop, products, outcomes):
    names = ("deployment/orders", "deployment/inventory", "deployment/edge")

    def restart() -> None:
        kubectl("rollout", "restart", *names, "-n", NAMESPACE)
        for name in names:
            kubectl("rollout", "status", name, "-n", NAMESPACE, "--timeout=240s", seconds=250)

    outcome = await experiment(shop, products, "restart orders, inventory and edge, rolling", restart)
    check(outcome, outcomes)
    assert outcome.failed == []
