"""The Helm chart: with its own values what kustomize renders, and with others another namespace, host and store."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from images.catalogue import CHECKOUT
from stack import settings
from tests.support.manifests import rendered
from tests.unit.k8s.namespaces import left_over
from tools.chart import __main__ as chart
from tools.manifests.variants import kustomized, parsed

HELM = settings.read(os.environ, checkout=CHECKOUT).tool(f"helm-{chart.HELM}") / "helm"
pytestmark = pytest.mark.skipif(
    not HELM.exists() or shutil.which("kubectl") is None, reason="no helm yet (`make chart` builds it), or no kubectl"
)
ADDRESS = "apiServer.addresses={10.96.0.1}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chart.write(tmp_path_factory.mktemp("chart"))


@pytest.fixture(scope="module")
def overlay(folder) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what kustomize rendered for the chart, which has just been written."""
    return keyed(kustomized(CHECKOUT / "build/gitops/production"))


def template(folder, *arguments, namespace="shop", upgrade=False, address=ADDRESS) -> list[dict[str, Any]]:
    command = [str(HELM), "template", "shop", str(folder), "-n", namespace, "--set", address, *arguments]
    command += ["--kube-version", "v1.34.0"]
    command += ["--is-upgrade"] if upgrade else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return parsed(done.stdout)


def keyed(objects) -> dict[tuple[str, str], dict[str, Any]]:
    found = {(each["kind"], plain(each["metadata"]["name"])): each for each in objects}
    assert len(found) == len(objects)
    return found


def plain(name):
    """Return a ConfigMap's name without the digest of its content."""
    return re.sub(r"^(orders|inventory|pages)-[a-z0-9]{10}$", r"\1", name)


def comparable(value):
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items() if key not in OTHER and each != []}
    if isinstance(value, list):
        return [comparable(each) for each in value if not of_stores_elsewhere(each)]
    return plain(value) if isinstance(value, str) else value


def of_stores_elsewhere(each):
    """Return whether this is one of the optional secrets that say how stores elsewhere are reached."""
    if not isinstance(each, dict):
        return False
    secret = each.get("secretRef") or each.get("secret") or {}
    return (secret.get("optional") is True and "-stores" in json.dumps(secret)) or (
        each.get("name") == "stores" and each.get("mountPath") == "/etc/stores"
    )


# What is the chart's own: a pull secret that may be needed.
OTHER = {"imagePullSecrets"}


def test_with_its_own_values_it_is_what_kustomize_renders(folder, overlay):
    here = keyed(template(folder))
    assert {key for key in here if key[0] != "Secret"} == overlay.keys() - {("Namespace", "shop")}
    for key, each in here.items():
        if key[0] in ("Secret", "Job") or key == ("NetworkPolicy", "api-server"):
            continue
        assert comparable(each) == comparable(overlay[key]), key
    assert (
        here["NetworkPolicy", "api-server"]["spec"]["podSelector"]
        == overlay["NetworkPolicy", "api-server"]["spec"]["podSelector"]
    )


def test_migrations_are_those_of_the_overlay_and_a_hook_of_each_upgrade(folder, overlay):
    for upgrade in (False, True):
        for key, each in keyed(template(folder, upgrade=upgrade)).items():
            if key[0] != "Job":
                continue
            assert ("helm.sh/hook" in each["metadata"]["annotations"]) is upgrade
            [here], [there] = (one["spec"]["template"]["spec"]["containers"] for one in (each, overlay[key]))
            maps = [plain(source["configMapRef"]["name"]) for source in there.get("envFrom", ())]
            # A new ConfigMap does not exist yet when a hook runs.
            expected = there.get("env", []) + [
                {"name": name, "value": value}
                for one in maps
                for name, value in overlay["ConfigMap", one]["data"].items()
            ]
            assert (here["env"], here["image"]) == (expected, there["image"])
            assert not [source for source in here["envFrom"] if "configMapRef" in source]


def test_secrets_fit_each_other_and_stay_when_it_is_uninstalled(folder):
    secrets = {key[1]: each for key, each in keyed(template(folder)).items() if key[0] == "Secret"}
    assert secrets.keys() == {"postgres", "redis", "monitor", "orders", "stores", "edge-certificate"}
    stores, values = secrets["stores"]["stringData"], {name: each["stringData"] for name, each in secrets.items()}
    assert f":{values['postgres']['ORDERS_PASSWORD']}@postgres-0.postgres.shop.svc" in stores["DATABASE_URL"]
    assert f":{values['redis']['PASSWORD']}@redis.shop.svc" in stores["REDIS_URL"]
    assert "BEGIN CERTIFICATE" in values["edge-certificate"]["tls.crt"]
    for each in secrets.values():
        assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not [key for key in keyed(template(folder, "--set", "secrets.create=false")) if key[0] == "Secret"]


def test_another_namespace_has_no_trace_of_the_first(folder):
    arguments = ("--set", "trustDomain=example.org", "--set", "clusterDomain=k8s.example.org")
    objects = template(folder, *arguments, namespace="shop-two")
    assert left_over(each for each in objects if each["kind"] != "Secret") == []
    text = json.dumps(objects)
    assert "shop.svc" not in text
    assert "example.org/ns/shop-two/sa/orders" in text
    assert "orders.shop-two.svc.k8s.example.org:50051" in text
    assert {each["metadata"]["namespace"] for each in objects} == {"shop-two"}
    found = keyed(objects)
    selector = found["Gateway", "edge"]["spec"]["selector"]
    labels = found["Deployment", "edge"]["spec"]["template"]["metadata"]["labels"]
    assert selector["shop"] == "shop-two"
    assert selector.items() <= labels.items()


def test_a_changed_setting_changes_the_pods(folder):
    def pages(*arguments):
        objects = keyed(template(folder, "--set", "secrets.create=false", *arguments))
        [source] = objects["Deployment", "pages"]["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        assert source["configMapRef"]["name"] == objects["ConfigMap", "pages"]["metadata"]["name"]
        return source["configMapRef"]["name"]

    assert pages() == pages()
    assert pages() != pages("--set", "issuer.url=https://id.example.org")


def test_hosts_issuer_sizes_and_images_are_where_they_belong(folder, tmp_path):
    digest = "sha256:" + "0" * 64
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({
        "images": {"registry": "images.example.org/a", "tags": {"orders": digest}},
        "edge": {"hosts": ["shop.example.org"], "service": {"type": "ClusterIP", "annotations": {"a": "b"}}},
        "issuer": {"url": "https://id.example.org"},
        "services": {"orders": {"minReplicas": 4}},
        "stores": {"storageClass": "fast", "kafka": {"storage": "1Ti"}},
    }))  # fmt: skip
    found = keyed(template(folder, "-f", str(tmp_path / "values.yaml")))
    assert found["Gateway", "edge"]["spec"]["servers"][0]["hosts"] == ["shop.example.org"]
    assert found["VirtualService", "edge"]["spec"]["hosts"] == ["shop.example.org"]
    assert found["VirtualService", "orders"]["spec"]["hosts"] == ["orders"]
    service = found["Service", "edge"]
    assert service["spec"]["type"] == "ClusterIP"
    assert "externalTrafficPolicy" not in service["spec"]
    assert service["metadata"]["annotations"]["a"] == "b"
    assert found["RequestAuthentication", "customers"]["spec"]["jwtRules"][0]["issuer"] == "https://id.example.org"
    assert found["ConfigMap", "pages"]["data"]["OIDC_ISSUER"] == "https://id.example.org"
    assert found["HorizontalPodAutoscaler", "orders"]["spec"]["minReplicas"] == 4
    [claim] = found["StatefulSet", "kafka"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Ti"
    assert found["Deployment", "orders"]["spec"]["template"]["spec"]["containers"][0]["image"] == (
        f"images.example.org/a/orders@{digest}"
    )


def test_stores_elsewhere(folder):
    found = keyed(template(folder, "--set", "stores.bundled=false", "--set", "stores.databaseRole="))
    assert not [key for key in found if key[0] == "StatefulSet" or key[1] in ("postgres-primary", "monitor-role")]
    assert ("NetworkPolicy", "services-to-stores") in found
    assert ("Secret", "stores") not in found
    # The migrations grant to the role in which the replicas serve; a Job's `env` counts before its `envFrom`.
    [migrating] = found["Job", "orders-migrate"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "DATABASE_ROLE", "value": ""} in migrating["env"]
    [serving] = [each for each in found.values() if each["kind"] == "ConfigMap" and "DATABASE_ROLE" in each["data"]]
    assert serving["data"]["DATABASE_ROLE"] == ""
    managed = keyed(rendered("managed stores"))
    for key in (("Deployment", "orders"), ("Deployment", "inventory"), ("Job", "orders-migrate")):
        here, there = (each[key]["spec"]["template"]["spec"] for each in (found, managed))
        [ours], [theirs] = here["containers"], there["containers"]
        assert [one for one in theirs["envFrom"] if "secretRef" in one] == [
            one for one in ours["envFrom"] if "secretRef" in one
        ]
        assert sorted(map(json.dumps, here["volumes"])) == sorted(map(json.dumps, there["volumes"]))
        assert sorted(map(json.dumps, ours["volumeMounts"])) == sorted(map(json.dumps, theirs["volumeMounts"]))


@pytest.mark.parametrize(
    "value",
    ["edge.hosts={a b}", "services.orders.minReplicas=1", "images.tags.beer=1", "issuer.url=id",
     "edge.service.type=Tunnel", "stores.kafka.storage=lots", "colour=red"],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused(folder, value):
    with pytest.raises(ValueError, match=r"values don't meet the specifications|at '"):
        template(folder, "--set", value)


def test_without_a_cluster_the_api_servers_address_must_be_given(folder):
    with pytest.raises(ValueError, match=r"apiServer\.addresses"):
        template(folder, address="edge.hosts={*}")


def test_no_secret_is_in_the_chart(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert not re.search(r"BEGIN (EC |RSA )?PRIVATE", path.read_text())
    assert base64.b64encode(b"PASSWORD").decode() not in (folder / "values.yaml").read_text()


def test_traces_by_one_value(folder):
    host = "otel-collector.telemetry.svc.k8s.example.org"
    values = ("--set", "traces.receiver=otel-collector.telemetry", "--set", "traces.percent=5")
    found = keyed(template(folder, "--set", "clusterDomain=k8s.example.org", *values))
    for service in ("orders", "inventory"):
        [app] = found["Deployment", service]["spec"]["template"]["spec"]["containers"]
        assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": f"http://{host}:4317"} in app["env"]
        [egress] = found["Sidecar", service]["spec"]["egress"]
        assert "telemetry/*" in egress["hosts"]
    assert {"kubernetes.io/metadata.name": "telemetry"} in [
        peer["namespaceSelector"]["matchLabels"]
        for rule in found["NetworkPolicy", "mesh"]["spec"]["egress"]
        for peer in rule["to"]
    ]
    [tracing] = found["Telemetry", "traces"]["spec"]["tracing"]
    assert tracing["randomSamplingPercentage"] == 5
    with pytest.raises(ValueError, match="receiver"):
        template(folder, "--set", "traces.receiver=http://somewhere:4317")
    with pytest.raises(ValueError, match="own namespace lets nothing in"):
        template(folder, "--set", "traces.receiver=collector.plaza", namespace="plaza")
