"""Planned operations under load: upgrade the API server, restart, drain, scale."""

from __future__ import annotations

import functools
import json

import pytest

from k8s.kubectl import NAMESPACE, kubectl
from tests.cluster import api_server, controller_manager, pods
from tests.cluster.experiment import check, experiment

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("whole")]
ROLLOUT_S = 240


def rollout(kind_and_name: str) -> None:
    """Restart the pods of a workload in a rolling way, and wait for its end."""
    kubectl("rollout", "restart", kind_and_name, "-n", NAMESPACE)
    kubectl("rollout", "status", kind_and_name, "-n", NAMESPACE, f"--timeout={ROLLOUT_S}s", seconds=ROLLOUT_S + 10)


def evict(pod: str) -> None:
    """Evict a pod, as draining its node does."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


# For a moment, and for longer than the lease of PostgreSQL's leader.
@pytest.mark.parametrize("seconds", [3, 60])
async def test_customers_do_not_notice_that_the_api_server_is_silent(shop, products, outcomes, seconds):
    server = api_server.process()
    if server is None:
        pytest.skip("the API server is no process of this machine")
    leader = pods.member("leader")
    silence = functools.partial(api_server.silence, server, seconds)
    with controller_manager.with_leader_election():
        outcome = await experiment(shop, products, f"the API server silent for {seconds} s", silence)
    check(outcome, outcomes)
    assert outcome.failed == []
    assert {each.status for each in outcome.acknowledged} == {201}
    assert pods.member("leader") == leader


async def test_customers_do_not_notice_that_postgresql_is_restarted_rolling(shop, products, outcomes):
    restart = functools.partial(rollout, "statefulset/postgres")
    outcome = await experiment(shop, products, "restart PostgreSQL, rolling", restart)
    check(outcome, outcomes)
    assert outcome.failed == []


async def test_customers_do_not_notice_that_the_leader_of_postgresql_is_evicted(shop, products, outcomes):
    leader = pods.member("leader")
    outcome = await experiment(shop, products, "evict PostgreSQL's leader", functools.partial(evict, leader))
    check(outcome, outcomes)
    assert outcome.failed == []
    assert pods.member("leader") != leader


async def test_customers_do_not_notice_that_kafka_is_restarted_rolling(shop, products, outcomes):
    outcome = await experiment(shop, products, "restart Kafka, rolling", lambda: rollout("statefulset/kafka"))
    check(outcome, outcomes)
    assert outcome.failed == []
    assert {each.status for each in outcome.acknowledged} == {201}


async def test_a_rolling_update_of_inventory_causes_no_rebuild(shop, products, outcomes):
    before = pods.stock_generation()
    outcome = await experiment(shop, products, "restart inventory, rolling", lambda: rollout("deployment/inventory"))
    check(outcome, outcomes)
    assert outcome.failed == []
    assert {each.status for each in outcome.acknowledged} == {201}
    assert pods.stock_generation() == before


async def test_orders_resume_after_redis_is_evicted_with_the_same_stock(shop, products, outcomes):
    before, [redis] = pods.stock_generation(), pods.of("redis")
    outcome = await experiment(shop, products, "evict Redis", lambda: evict(redis))
    check(outcome, outcomes)
    assert outcome.failed == []
    assert pods.stock_generation() == before
