"""k8s/host, certificate, gateway-api and external-secrets: one name everywhere, and the secrets that services read."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

from k8s import credentials
from tests.support.manifests import named, rendered

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
HOST = "shop.example.com"


@pytest.fixture(scope="module", params=["host", "public certificate", "shared gateway"])
def objects(request) -> list[dict[str, Any]]:
    return rendered(request.param)


def test_the_edge_answers_to_its_name_alone(objects):
    assert {host for server in named(objects, "Gateway", "edge")["spec"]["servers"] for host in server["hosts"]} == {
        HOST
    }
    for each in objects:
        if each["kind"] == "VirtualService" and "gateways" in each["spec"]:
            assert each["spec"]["hosts"] == [HOST], each["metadata"]["name"]
    assert not [each for each in objects if each["metadata"]["name"] == "host"]


def test_the_certificate_is_for_that_name_and_where_the_edge_looks():
    objects = rendered("public certificate")
    certificate = named(objects, "Certificate", "edge")["spec"]
    assert certificate["dnsNames"] == [HOST]
    assert certificate["secretName"] == credentials.EDGE
    [server] = named(objects, "Gateway", "edge")["spec"]["servers"]
    assert server["tls"]["credentialName"] == credentials.EDGE


def test_a_shared_gateway_hands_that_name_to_the_edge_and_nobody_else_reaches_it():
    objects = rendered("shared gateway")
    [port] = named(objects, "Service", "edge")["spec"]["ports"]
    for kind in ("HTTPRoute", "GRPCRoute"):
        spec = named(objects, kind, "shop")["spec"]
        assert spec["hostnames"] == [HOST]
        for rule in spec["rules"]:
            assert rule["backendRefs"] == [{"name": "edge", "port": port["port"]}]
            assert "retry" not in rule
    policy = named(objects, "BackendTLSPolicy", "edge")["spec"]
    assert policy["validation"]["hostname"] == HOST
    assert policy["targetRefs"] == [{"group": "", "kind": "Service", "name": "edge", "sectionName": port["name"]}]
    assert named(objects, "Service", "edge")["spec"]["type"] == "ClusterIP"
    [ingress] = named(objects, "NetworkPolicy", "edge")["spec"]["ingress"]
    assert ingress["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}]


def test_its_timeouts_are_longer_than_the_edges_longest():
    objects = rendered("shared gateway")
    edge = [route.get("timeout", "0s") for route in named(objects, "VirtualService", "edge")["spec"]["http"]]
    longest = max(int(each.removesuffix("s")) for each in edge)
    watch, rest = named(objects, "HTTPRoute", "shop")["spec"]["rules"]
    assert watch["timeouts"]["request"] == "0s"
    assert re.fullmatch(watch["matches"][0]["path"]["value"], "/v1/orders/0a1b:watch")
    assert int(rest["timeouts"]["request"].removesuffix("s")) > longest


def test_external_secrets_bring_every_secret_and_key_that_is_drawn_otherwise():
    objects = rendered("public certificate")
    made = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "ExternalSecret"}
    assert made.keys() == {*credentials.DRAWN, "stores"}
    template = made["stores"]["target"]["template"]["data"]
    drawn = credentials.addresses("{{ .ORDERS_PASSWORD }}", "{{ .PASSWORD }}")
    assert template == drawn
