"""The scrape targets for Prometheus on Kubernetes."""

import json

import pytest

from gateway.pages.targets import groups, write


def pod(name="orders-1", app="orders", ip="10.0.0.7", phase="Running", init=(), **containers):
    """Return a pod with containers of one named port each."""
    return {
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "initContainers": [{"ports": [{"name": "http-envoy-prom", "containerPort": 15090}]} for _ in init],
            "containers": [
                {"ports": [{"name": each.replace("_", "-"), "containerPort": port}]}
                for each, port in containers.items()
            ],
        },
        "status": {"phase": phase, "podIP": ip},
    }


def test_application_and_proxy_of_a_pod_are_scraped_by_their_ports_names():
    found = groups([pod(init=["istio-proxy"], grpc=50051, metrics=9464)])
    labels = {"service": "orders", "pod": "orders-1"}
    assert found == {
        "applications": [{"targets": ["10.0.0.7:9464"], "labels": labels}],
        "envoys": [{"targets": ["10.0.0.7:15090"], "labels": labels}],
        **{job: [] for job in ("patroni", "prometheus", "postgres", "redis", "kafka", "probe")},
    }


def test_a_gateway_and_a_database_are_scraped_too():
    found = groups([pod("edge-1", "edge", http_envoy_prom=15090), pod("postgres-0", "postgres", patroni=8008)])
    assert [each["labels"]["pod"] for each in found["envoys"]] == ["edge-1"]
    assert [each["labels"]["pod"] for each in found["patroni"]] == ["postgres-0"]


def test_every_store_is_scraped_by_its_exporters_port():
    ports = {"postgres": {"pg_metrics": 9187}, "redis": {"redis_metrics": 9121}, "kafka": {"kafka_metrics": 9404}}
    found = groups([pod(f"{store}-0", store, ip="10.0.0.9", **port) for store, port in ports.items()])
    assert {store: [each["targets"] for each in found[store]] for store in ports} == {
        "postgres": [["10.0.0.9:9187"]], "redis": [["10.0.0.9:9121"]], "kafka": [["10.0.0.9:9404"]],
    }  # fmt: skip


def test_an_address_of_ipv6_is_in_brackets():
    [target] = groups([pod(ip="fd00::7", metrics=9464)])["applications"]
    assert target["targets"] == ["[fd00::7]:9464"]


@pytest.mark.parametrize("changes", [{"ip": None}, {"phase": "Succeeded"}, {"phase": "Pending"}])
def test_a_pod_that_does_not_run_is_not_scraped(changes):
    assert groups([pod(metrics=9464, **changes)])["applications"] == []


def test_a_terminating_pod_is_not_scraped():
    leaving = pod(metrics=9464)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert groups([leaving])["applications"] == []


def test_target_files_are_written_only_when_changed(tmp_path):
    first, second = groups([pod(metrics=9464)]), groups([])
    write(tmp_path, first)
    before = (tmp_path / "applications.json").stat().st_ino
    write(tmp_path, first)
    assert (tmp_path / "applications.json").stat().st_ino == before
    assert json.loads((tmp_path / "applications.json").read_text()) == first["applications"]
    write(tmp_path, second)
    assert json.loads((tmp_path / "applications.json").read_text()) == []
    assert {path.suffix for path in tmp_path.iterdir()} == {".json"}
