"""The component for the Prometheus Operator has the same jobs, labels and rules as our own Prometheus."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest
import yaml

from gateway.pages.targets import JOBS
from images.catalogue import CHECKOUT
from tests.support.manifests import rendered
from tools.dashboards import operator_rules

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
BY_ISTIO = "http-envoy-prom"


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return rendered("prometheus-operator")


def of_kind(objects, kind):
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def endpoint(monitor):
    [found] = monitor["spec"]["podMetricsEndpoints"]
    return found


def selected(selector, labels):
    wanted = {key: [value] for key, value in selector.get("matchLabels", {}).items()}
    wanted |= {each["key"]: each["values"] for each in selector.get("matchExpressions", ())}
    return all(labels.get(key) in values for key, values in wanted.items())


def test_each_job_of_the_pods_has_its_monitor_with_the_labels_that_rules_expect(objects):
    monitors = of_kind(objects, "PodMonitor")
    assert {endpoint(each)["port"]: name for name, each in monitors.items()} == {
        port: job for port, job in JOBS.items() if job != "prometheus"
    }
    for job, monitor in monitors.items():
        labels = {each["targetLabel"]: each for each in endpoint(monitor)["relabelings"]}
        assert labels["job"]["replacement"] == job
        assert labels["service"]["sourceLabels"] == ["__meta_kubernetes_pod_label_app"]


def test_each_metrics_port_is_scraped_by_one_monitor(objects):
    monitors = of_kind(objects, "PodMonitor").values()
    pods = [each["spec"]["template"] for each in objects if each["kind"] in ("Deployment", "StatefulSet")]
    seen = set()
    for pod in pods:
        ports = {port.get("name") for each in pod["spec"]["containers"] for port in each.get("ports", ())}
        for name in ports & (JOBS.keys() - {BY_ISTIO}):
            found = [
                each
                for each in monitors
                if endpoint(each)["port"] == name and selected(each["spec"]["selector"], pod["metadata"]["labels"])
            ]
            assert len(found) == 1, (name, pod["metadata"]["labels"])
            seen.add(name)
    assert seen == JOBS.keys() - {BY_ISTIO, "prometheus"}


def test_each_job_is_scraped_and_relabelled_as_by_our_own_prometheus(objects):
    own = yaml.safe_load((CHECKOUT / "monitoring" / "prometheus.yml").read_text())
    jobs = {each["job_name"]: each for each in own["scrape_configs"]}
    for name, monitor in of_kind(objects, "PodMonitor").items():
        there, here = endpoint(monitor), jobs[name]
        assert there.get("path") == here.get("metrics_path")
        assert there["interval"] == here.get("scrape_interval", own["global"]["scrape_interval"])
        assert there.get("metricRelabelings", []) == [
            {re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), key): value for key, value in each.items()}
            for each in here.get("metric_relabel_configs", [])
        ]


def test_the_operator_gets_rules_and_dashboards_and_no_prometheus_configuration(objects):
    path, content = operator_rules.file()
    assert path.read_text() == content, "run python -m tools.dashboards"
    assert of_kind(objects, "PrometheusRule")["shop"]["spec"] == yaml.safe_load(content)["spec"]
    configurations = {name.rpartition("-")[0] for name in of_kind(objects, "ConfigMap")}
    assert "grafana-dashboards" in configurations
    assert not configurations & {"prometheus", "prometheus-rules"}
