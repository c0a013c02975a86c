"""The rules and alerts of monitoring/ are loaded by the running Prometheus, and their series exist."""

import re

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from shop_client import rest
from stack.topology import passwords
from stack.topology.addresses import Host, Port
from stack.topology.plan import REPLICAS
from stores import files
from tests.support import alerts
from tests.support.promql import selectors
from tests.support.waiting import eventually
from tools.dashboards.__main__ import boards

# Series that exist only after an error.
ONLY_AFTER_A_FAULT = {
    'envoy_cluster_grpc{cluster_name=~"outbound.*",grpc_status=~"2|4|13|14|15",service="edge"}',
    'inventory_order_events_total{outcome="DEAD"}',
    "failed_messages_not_published_total",
    # Of a stack with a prober: test_prober.py looks for them.
    "probe_success",
    "probe_orders_total",
    'probe_orders_total{outcome="failed"}',
    "probe_finished_timestamp_seconds",
    # Series that Prometheus scrapes from kubelets.
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    # Of a stack that was backed up once (gateway/pages/backups.py).
    "backup_last_success_timestamp_seconds",
    "backup_last_failure_timestamp_seconds",
    "backup_wal_failing",
    'ALERTS{alertname=~"PostgresWithoutPrimary|KafkaAway|InventoryWithoutStock|ServiceDown",alertstate="firing"}',
    # From kube-state-metrics.
    'kube_horizontalpodautoscaler_status_condition{condition="ScalingActive",namespace="shop",status=~"false|unknown"}',
    "edge:time_to_recovery_seconds:7d",
}
# Panels that are empty until an error, until an order was pending, until the first backup, or without a prober.
AFTER_A_FAULT = re.compile(
    "ALERTS|backup_|probe_|time_to_recovery|longest_outage|5xx|orders_saga|consumer_restarts|expired_leases|"
    'envoy_cluster_grpc\\{service="edge"\\}'
)
# Some rules are evaluated once a minute.
EVALUATED_S = 90


@pytest.fixture
async def prometheus(stack):
    """Return the results of the stack's Prometheus."""
    address = stack.network.at(Host.PROMETHEUS, Port.PROMETHEUS)
    async with httpx.AsyncClient(base_url=f"http://{address}/api/v1", timeout=10) as client:

        async def ask(path, **parameters):
            answer = await client.get(path, params=parameters)
            return answer.raise_for_status().json()["data"]

        yield ask


def test_prometheus_has_only_the_files_it_reads(stack):
    folder = stack.settings.conf / "prometheus"
    given = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert given == {"prometheus.yml", "rules", "targets"}


async def test_the_running_prometheus_has_every_rule_and_evaluates_it(prometheus):
    async def unwell():
        loaded = [rule for group in (await prometheus("/rules"))["groups"] for rule in group["rules"]]
        assert sorted(each["name"] for each in loaded) == sorted(
            each.get("alert") or each["record"] for each in alerts.rules()
        )
        return [(each["name"], each["health"], each.get("lastError")) for each in loaded if each["health"] != "ok"]

    async def well():
        return not await unwell()

    try:
        await eventually(well, within_s=EVALUATED_S)
    finally:
        assert await unwell() == []


async def test_every_series_of_a_rule_exists(stack, edge, prometheus):
    placed = await rest.place(edge, rest.basket("products/enamel-mug"), "measured")
    assert placed.status_code in rest.TAKEN
    async with stack.client("op", operator=True) as operator:
        # A reconciliation exports what remains; by itself it runs only after minutes.
        (await operator.post("/v1/orders:reconcile", json={}, timeout=60)).raise_for_status()
    loaded = [rule for group in (await prometheus("/rules"))["groups"] for rule in group["rules"]]
    wanted = {selector for rule in loaded for selector in selectors(rule["query"])} - ONLY_AFTER_A_FAULT
    assert len(wanted) > len(alerts.ALERTS)

    async def missing():
        return {each for each in wanted if not await prometheus("/series", **{"match[]": each})}

    async def none_missing():
        return not await missing()

    try:
        await eventually(none_missing, within_s=EVALUATED_S)
    finally:
        assert await missing() == set()


async def test_every_panel_of_the_dashboards_shows_something(prometheus):
    queries = {
        f"{board.uid} {panel.title}: {name}": query.replace("$__rate_interval", "1m")
        for board in boards()
        for panels in board.rows.values()
        for panel in panels
        for name, query in panel.queries.items()
        if not AFTER_A_FAULT.search(query)
    }

    async def empty():
        return {name for name, query in queries.items() if not (await prometheus("/query", query=query))["result"]}

    async def none_empty():
        return not await empty()

    try:
        await eventually(none_empty, within_s=EVALUATED_S)
    finally:
        assert await empty() == set()


async def test_the_account_of_postgresqls_exporter_reads_statistics_and_no_order(stack):
    password = passwords.read(stack.settings.secrets).monitor
    for replica in REPLICAS:
        session = await asyncpg.connect(
            host=stack.network.address(Host.POSTGRES, replica), port=Port.POSTGRES.value,
            user=files.MONITOR, password=password, database="orders", timeout=10,
        )  # fmt: skip
        try:
            assert await session.fetchval("SELECT sum(size) FROM pg_ls_waldir()") > 0
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.fetch("SELECT FROM orders")
        finally:
            await session.close()


async def test_the_account_of_rediss_exporter_reads_no_key_and_no_password(stack):
    client = Redis(
        host=stack.network.address(Host.REDIS), port=Port.REDIS.value,
        username=files.MONITOR, password=passwords.read(stack.settings.secrets).monitor, socket_timeout=10,
    )  # fmt: skip
    async with client:
        assert (await client.info("memory"))["maxmemory"] > 0
        for refused in (client.scan(), client.get("any"), client.config_get("*"), client.slowlog_get()):
            with pytest.raises(NoPermissionError):
                await refused


async def test_a_missing_synchronous_replica_fires_and_resolves_its_alert(stack, prometheus):
    async def states():
        found = await prometheus("/query", query='ALERTS{alertname="SecondCopyMissing"}')
        return [each["metric"]["alertstate"] for each in found["result"]]

    async def silent():
        return await states() == []

    async def replica():
        found = await prometheus("/query", query="patroni_sync_standby == 1")
        return [each["metric"]["pod"] for each in found["result"]]

    await eventually(silent, within_s=60)
    [second] = await eventually(replica, within_s=60)
    stack.make("kill", SVC=second)
    try:
        assert (await eventually(states, within_s=60))[0] in ("pending", "firing")
    finally:
        stack.make("start", SVC=second)
    await eventually(silent, within_s=90)
