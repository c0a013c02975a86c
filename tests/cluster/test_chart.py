"""The Helm chart, installed as a second shop beside the deployed one: install, upgrade, uninstall."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import yaml

from images.catalogue import CHECKOUT
from k8s import edge as deployed
from k8s.kubectl import NAMESPACE as DEPLOYED
from k8s.kubectl import kubectl
from shop_client import rest
from shop_client.plain import Answer, Plain, place_patiently
from stack import settings
from tests.cluster.load import Shop
from tools.chart import __main__ as chart

NAMESPACE = "shop-two"
HELM = settings.read(os.environ, checkout=CHECKOUT).tool(f"helm-{chart.HELM}") / "helm"
INSTALL_S = 900
pytestmark = [
    pytest.mark.timeout(2 * INSTALL_S),
    pytest.mark.skipif(not HELM.exists(), reason="no helm: `make chart` builds it, outside the cluster's network"),
]
SMALL = {"requests": {"cpu": "20m", "memory": "96Mi", "ephemeral-storage": "16Mi"}, "limits": {"memory": "1Gi"}}
SERVICE = {"minReplicas": 2, "maxReplicas": 2, "resources": SMALL}
STORE = {"storage": "1Gi", "resources": SMALL}
ISSUER = f"http://issuer.{DEPLOYED}.svc.cluster.local:8080"
VALUES: Mapping[str, Any] = {
    # The issuer of the shop beside it.
    "issuer": {"url": ISSUER, "jwksUri": f"{ISSUER}/jwks.json"},
    "edge": {"service": {"type": "ClusterIP"}},
    "services": {
        "orders": SERVICE,
        "inventory": SERVICE,
        "edge": SERVICE,
        "pages": {"replicas": 2, "resources": SMALL},
    },
    "stores": {"postgres": STORE, "kafka": STORE, "redis": STORE},
    "seedCatalogue": "true",
}


class Customer:
    """A customer of the second shop, over HTTPS with its own certificate; calls it as `Plain` does."""

    def __init__(self, token: str) -> None:
        certificate = get("secret", "edge-certificate")["data"]["tls.crt"]
        address = get("service", "edge")["spec"]["clusterIP"]
        trusted = ssl.create_default_context(cadata=base64.b64decode(certificate).decode())
        self.url = f"https://{address}"
        self._client = httpx.Client(base_url=self.url, verify=trusted, headers=rest.signed(token), timeout=15)

    def get(self, path: str) -> Answer:
        return self._answer("GET", path)

    def post(self, path: str, *, json: Any, headers: Mapping[str, str]) -> Answer:
        return self._answer("POST", path, json=json, headers=headers)

    def _answer(self, method: str, path: str, **rest_of_it: Any) -> Answer:
        try:
            answer = self._client.request(method, path, extensions={"sni_hostname": "localhost"}, **rest_of_it)
        except httpx.HTTPError as error:
            raise OSError(str(error)) from error
        return Answer(answer.status_code, answer.text)


def get(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json"))
    return found


def helm(*arguments: str) -> None:
    done = subprocess.run([str(HELM), *arguments], capture_output=True, text=True, timeout=INSTALL_S + 60, check=False)
    assert done.returncode == 0, done.stderr + kubectl("get", "pods,jobs,events", "-n", NAMESPACE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """Install it, and return the arguments that an upgrade repeats."""
    folder = chart.write(tmp_path_factory.mktemp("chart"))
    values = folder.parent / "values.yaml"
    values.write_text(yaml.safe_dump(dict(VALUES)))
    arguments = (
        "shop",
        str(folder),
        "-n",
        NAMESPACE,
        "-f",
        str(values),
        "--wait",
        "--wait-for-jobs",
        f"--timeout={INSTALL_S}s",
    )
    kubectl("create", "namespace", NAMESPACE)
    try:
        kubectl("label", "namespace", NAMESPACE, "istio-injection=enabled")
        helm("install", *arguments)
        yield arguments
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait", seconds=300)


def test_a_second_shop_takes_orders_of_its_own(installed, shop: Shop, facts):
    token = deployed.token("two")
    order = place_patiently(Customer(token), within_s=120, every_s=2)
    facts.append(f"the chart in {NAMESPACE}: {order['name']} {order['state']}")
    answer = httpx.get(f"{shop.edge}/v1/{order['name']}", headers=rest.signed(token), timeout=15)
    assert answer.status_code == 404
    place_patiently(Plain(shop.edge, token), within_s=60, every_s=1)


def test_an_upgrade_migrates_again_and_keeps_secrets_and_orders(installed):
    customer = Customer(deployed.token("two"))
    order = place_patiently(customer, within_s=60, every_s=1)
    before = get("secret", "stores")["data"], get("job", "orders-migrate")["metadata"]["uid"]
    helm("upgrade", *installed, "--set", "services.pages.replicas=3")
    assert get("secret", "stores")["data"] == before[0]
    # The hook made another one, and the release's own is gone or replaced.
    jobs = json.loads(kubectl("get", "jobs", "-n", NAMESPACE, "-o", "json"))["items"]
    assert before[1] not in [each["metadata"]["uid"] for each in jobs]
    assert get("deployment", "pages")["status"]["readyReplicas"] == 3
    assert customer.get(f"/v1/{order['name']}").status_code == 200
    place_patiently(customer, within_s=60, every_s=1)


def test_uninstalling_keeps_secrets_and_volumes(installed):
    helm("uninstall", "shop", "-n", NAMESPACE, "--wait")
    assert not json.loads(kubectl("get", "statefulsets,deployments", "-n", NAMESPACE, "-o", "json"))["items"]
    kept = kubectl("get", "secrets,persistentvolumeclaims", "-n", NAMESPACE, "-o", "name").split()
    assert {"secret/postgres", "secret/stores", "persistentvolumeclaim/data-postgres-0"} <= set(kept)
