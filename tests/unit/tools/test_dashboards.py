"""Grafana's dashboards are generated from their description, and use existing series."""

import importlib
import json
import pkgutil
import re

import pytest
import yaml
from prometheus_client import REGISTRY

import gateway.pages
import gateway.prober
import inventory_svc
import orders_svc
import runtime
from gateway.pages import queries, stores
from stack.settings import CHECKOUT
from tests.support.promql import selectors
from tools.dashboards import alerts
from tools.dashboards.__main__ import FOLDER, boards, files

BOARDS = boards()
RULES = [
    rule
    for path in alerts.RULES.glob("*.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
# Series of Prometheus itself and of every Python process.
OTHERS = {"up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}

# What we use of node exporter, with the collectors of stack/topology/exporters.py; test_monitoring.py asks a real one.
NODE = {
    "node_cpu_seconds_total",
    "node_load1",
    "node_pressure_cpu_waiting_seconds_total",
    "node_pressure_memory_waiting_seconds_total",
    "node_pressure_io_waiting_seconds_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_filesystem_files_free",
    "node_filesystem_files",
    "node_disk_io_time_seconds_total",
    "node_disk_written_bytes_total",
}
REDIS = {
    "redis_memory_used_bytes",
    "redis_memory_max_bytes",
    "redis_rejected_connections_total",
    "redis_aof_current_size_bytes",
    "redis_aof_last_write_status",
    "redis_aof_last_bgrewrite_status",
    "redis_aof_delayed_fsync",
}


def names(query):
    return {selector.partition("{")[0] for selector in selectors(query.replace("$__rate_interval", "1m"))}


def ours():
    """Return the series that our processes export."""
    for package in (runtime, orders_svc, inventory_svc, gateway.pages, gateway.prober):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return {name for names in REGISTRY._collector_to_names.values() for name in names}


def queried_elsewhere():
    """
    Return the series that rules and the board use, which integration tests compare with a running Prometheus, and
    those that rules record.
    """
    known = {rule["record"] for rule in RULES if "record" in rule}
    for rule in RULES:
        known |= names(rule["expr"])
    for table in (queries.CALLS, queries.BREAKERS, queries.PODS, queries.NUMBERS, stores.POSTGRES):
        for query in table.values():
            known |= names(query)
    return known


def exported():
    """Return what the exporters of the stores give, as configured, and of Redis and the machine what we use."""
    queries = yaml.safe_load((CHECKOUT / "stores" / "postgres-metrics.yml").read_text())
    postgres = {f"{name}_{column}" for name, query in queries.items() for each in query["metrics"] for column in each}
    kafka = {rule["name"] for rule in yaml.safe_load((CHECKOUT / "stores" / "kafka-metrics.yml").read_text())["rules"]}
    return postgres | kafka | REDIS | NODE


def test_the_files_are_up_to_date():
    made = dict(files())
    assert set(FOLDER.iterdir()) == set(made)
    for path, text in made.items():
        assert path.read_text() == text, "run: python -m tools.dashboards"


def test_every_query_uses_existing_series():
    known = ours() | queried_elsewhere() | exported() | OTHERS
    queried = {
        name: f"{board.uid}: {panel.title}"
        for board in BOARDS
        for panels in board.rows.values()
        for panel in panels
        for query in panel.queries.values()
        for name in names(query)
    }
    assert {name: where for name, where in queried.items() if name not in known} == {}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_dashboards_match_grafanas_schema(board):
    [text] = [text for path, text in files() if path.stem == board.uid.removeprefix("shop-")]
    made = json.loads(text)
    assert re.fullmatch(r"[a-z-]{8,40}", made["uid"])
    charts = [panel for panel in made["panels"] if panel["type"] != "row"]
    assert sorted(panel["title"] for panel in charts) == sorted(
        panel.title for panels in board.rows.values() for panel in panels
    )
    places = [tuple(panel["gridPos"][key] for key in ("x", "y")) for panel in charts]
    assert len(set(places)) == len(places)
    assert all(panel["targets"] and panel["datasource"]["uid"] == "${source}" for panel in charts)


def test_every_alert_is_on_a_dashboard_with_its_runbook():
    rows = [panels for board in alerts.boards() for panels in board.rows.values()]
    shown = {panel.title: panel.about for panels in rows for panel in panels}
    wanted = {rule["alert"]: rule["annotations"]["runbook"] for rule in RULES if "alert" in rule}
    assert set(shown) == set(wanted)
    for alert, runbook in wanted.items():
        assert runbook in shown[alert]
        assert "{{" not in shown[alert]


def test_every_dashboard_is_deployed_to_the_cluster():
    made = yaml.safe_load((CHECKOUT / "monitoring" / "kustomization.yaml").read_text())
    [given] = [each for each in made["configMapGenerator"] if each["name"] == "grafana-dashboards"]
    assert sorted(given["files"]) == sorted(f"dashboards/{path.name}" for path in FOLDER.iterdir())
