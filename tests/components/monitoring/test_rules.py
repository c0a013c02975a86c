"""The rules and alerts of monitoring/, tested by promtool; each alert has a runbook."""

import functools
import re
import shutil
import subprocess

import pytest
import yaml

from gateway.pages import queries
from tests.support.alerts import ALERTS, MONITORING, RULES, TESTS
from tools.dashboards.__main__ import boards

# The alert whose absence shows that alerts are not delivered.
ALWAYS = "Watchdog"
# Alerts that notify nobody.
SILENT = (ALWAYS, "RecentOutage")


def promtool(*arguments):
    done = subprocess.run([shutil.which("promtool"), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_well_formed():
    promtool("check", "rules", *map(str, RULES))


def test_the_dashboards_queries_are_well_formed(tmp_path):
    rules = [
        {"record": "query", "expr": query.replace("$__rate_interval", "1m")}
        for board in boards()
        for panels in board.rows.values()
        for panel in panels
        for query in panel.queries.values()
    ]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "queries.yml"))


def test_the_queries_of_the_boards_history_are_well_formed(tmp_path):
    every = {**queries.history("60s"), **queries.hop("orders", "inventory", "60s"), **queries.MARKS}
    rules = [{"record": name, "expr": query} for name, query in every.items()]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "history", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "queries.yml"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path):
    promtool("test", "rules", str(path))


@functools.cache
def expectations():
    """Return the alerts that promtool expects."""
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    return [each for test in tests for each in test.get("promql_expr_test", ())]


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tested_firing_and_silent(alert):
    tested = [each for each in expectations() if about(each["expr"], alert)]
    firing = [each for each in tested if f'alertname="{alert}"' in str(each.get("exp_samples"))]
    assert firing
    assert (len(firing) == len(tested)) == (alert == ALWAYS)


def about(expression, alert):
    """Return whether *expression* tests whether *alert* fires."""
    found = re.search(r'ALERTS\{.*alertname=~?"([^"]*)"', expression)
    return found is not None and re.fullmatch(found[1], alert) is not None


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_severity_impact_and_runbook(alert):
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in (("none",) if alert in SILENT else ("page", "ticket"))
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert re.search("customer|client", rule["annotations"]["description"], re.IGNORECASE)
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{alert.lower()}"


def test_every_alert_has_its_runbook_and_every_runbook_its_alert():
    headings = re.findall(r"^## (.*)$", (MONITORING.parent / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)
