"""Alertmanager on a stack: whether it runs, and whom it notifies."""

import dataclasses
import json
import re

import pytest
import yaml

from stack import settings as stack_settings
from stack.run import write
from stack.topology import alertmanager, configuration, system
from tests.support.alerts import ALERTS, MONITORING

# Fires while one of these causes does, and for some time after it.
FOLLOWS = "RecentOutage"
SOURCE = (MONITORING / "alertmanager.yml").read_text()
URL = "https://pages.example.com/hook?key=a%2Fb"


@pytest.fixture
def notifying(plan):
    settings = dataclasses.replace(plan.settings, alert_webhook=URL, checkout=MONITORING.parent)
    return dataclasses.replace(plan, settings=settings)


def test_only_a_stack_with_somebody_to_notify_has_an_alertmanager(plan, notifying):
    for each, wanted in ((plan, []), (notifying, [str(alertmanager.listens_at(plan))])):
        assert (alertmanager.NAME in system.steps(each)) == bool(wanted)
        groups = json.loads(configuration.prometheus_targets(each)["alertmanagers.json"])
        assert [target for group in groups for target in group["targets"]] == wanted


def test_who_is_notified_is_remembered_until_it_is_turned_off(plan, notifying, tmp_path):
    def chosen(**environ):
        environ = {"STATE": str(plan.settings.state), **environ}
        return stack_settings.read(environ, checkout=tmp_path / "checkout").alert_webhook

    plan.settings.conf.mkdir(parents=True, exist_ok=True)
    plan.settings.data.mkdir(parents=True, exist_ok=True)
    assert (chosen(), chosen(ALERT_WEBHOOK=URL)) == ("", URL)
    write._alertmanager(notifying)
    assert (chosen(), chosen(ALERT_WEBHOOK=""), chosen(ALERT_WEBHOOK="off")) == (URL, URL, "")
    assert URL in alertmanager.configuration_file(plan).read_text()
    write._alertmanager(plan)
    assert chosen() == ""
    assert not alertmanager.configuration_file(plan).exists()


@pytest.mark.parametrize("wrong", ["ftp://host/", "host:9093", "http://", "http://host/a b", 'http://host/"x'])
def test_what_is_no_url_is_refused_by_name(plan, tmp_path, wrong):
    environ = {"STATE": str(plan.settings.state), "ALERT_WEBHOOK": wrong}
    with pytest.raises(stack_settings.SettingsError, match="ALERT_WEBHOOK"):
        stack_settings.read(environ, checkout=tmp_path / "checkout")


def test_every_receiver_posts_to_the_url_and_only_the_watchdog_has_no_end():
    receivers = yaml.safe_load(alertmanager.configuration(SOURCE, URL))["receivers"]
    assert {each["name"]: each.get("webhook_configs") for each in receivers} == {
        "nobody": None,
    } | {name: [{"url": URL, "send_resolved": name != "watchdog"}] for name in ("watchdog", "page", "ticket")}


def inhibitions():
    for rule in yaml.safe_load(SOURCE)["inhibit_rules"]:
        (source,), (target,) = rule["source_matchers"], rule["target_matchers"]
        if source.startswith("alertname"):
            yield source.partition("=")[2].strip('"'), target.partition("=~")[2].strip('"').split("|")


def test_causes_and_consequences_are_alerts_and_every_cause_pages():
    severity = {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}
    for cause, consequences in inhibitions():
        # The consequences are silent because somebody was paged for the cause.
        causes = re.search('alertname=~"([^"]+)"', ALERTS[cause]["expr"])[1].split("|") if cause == FOLLOWS else [cause]
        assert {severity[each] for each in causes} == {"page"}
        assert cause not in consequences
        known = set(ALERTS) | {"ErrorBudgetBurns.*"}
        assert set(consequences) <= known, set(consequences) - known
