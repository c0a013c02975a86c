# ruff: noqa: E501  # a resource is easier to read on one line
"""
Findings of `istioctl analyze`, by their codes.
"""

import pytest

from tests.unit.translator.rig import REGISTRY, read
from translator.checks.analysis.analyze import analyze, brought
from translator.model.mesh import Mesh

NETWORKING, SECURITY = "networking.istio.io/v1", "security.istio.io/v1"


def resource(kind: str, spec: str, *, name: str = "r", namespace: str = "shop") -> str:
    group = SECURITY if kind == "AuthorizationPolicy" else NETWORKING
    return f"---\n{{apiVersion: {group}, kind: {kind}, metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}\n"


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.code, finding.message) for finding in analyze(Mesh(REGISTRY, read(text)))]


RULE = resource("DestinationRule", "{host: inventory, subsets: [{name: v1, labels: {version: v1}}]}")


def route(destination: str, more: str = "") -> str:
    return resource(
        "VirtualService", f"{{hosts: [inventory], {more} http: [{{route: [{{destination: {destination}}}]}}]}}"
    )


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (route("{host: nobody}"), "IST0101", 'Referenced host not found: "nobody"'),
        (route("{host: inventory, subset: v9}"), "IST0101", 'Referenced host+subset in destinationrule not found: "inventory+v9"'),
        (route("{host: inventory, port: {number: 81}}"), "IST0101", 'Referenced host:port not found: "inventory:81"'),
        (route("{host: pages.web.svc.cluster.local}"), "IST0112", "exposes multiple ports [80, 9000]"),
        (route("{host: inventory}", "gateways: [nowhere],"), "IST0101", 'Referenced gateway not found: "nowhere"'),
        (resource("Gateway", "{selector: {istio: none}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}]}"), "IST0101", 'Referenced selector not found: "istio=none"'),
        (resource("Gateway", "{selector: {istio: edge}, servers: [{port: {number: 8443, name: a, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: none}}]}"), "IST0101", 'Referenced credentialName not found: "none"'),
        (resource("DestinationRule", "{host: nobody}"), "IST0174", "The host nobody"),
        (resource("DestinationRule", "{host: inventory, subsets: [{name: v9, labels: {version: v9}}]}"), "IST0173", "The Subset v9"),
        (resource("DestinationRule", "{host: inventory, trafficPolicy: {tls: {mode: SIMPLE}}}"), "IST0128", "no caCertificates are set"),
        (resource("Sidecar", "{workloadSelector: {labels: {app: none}}, egress: [{hosts: [./*]}]}"), "IST0101", 'Referenced selector not found: "app=none"'),
        (resource("AuthorizationPolicy", "{selector: {matchLabels: {app: none}}}"), "IST0127", "app=none"),
        (resource("AuthorizationPolicy", "{rules: [{from: [{source: {namespaces: [none]}}]}]}"), "IST0101", 'Referenced namespace not found: "none"'),
    ],
)  # fmt: skip
def test_dangling_reference_is_reported_with_istios_code(text: str, code: str, words: str) -> None:
    assert any(code == each and words in message for each, message in found(text)), found(text)


def test_valid_references_are_not_reported() -> None:
    assert found(RULE + route("{host: inventory, subset: v1}")) == []


def test_two_virtual_services_for_one_host_are_reported() -> None:
    one = resource(
        "VirtualService", "{hosts: [inventory], http: [{route: [{destination: {host: inventory}}]}]}", name="a"
    )
    other = one.replace("name: a", "name: b").replace("hosts: [inventory]", "hosts: [inventory.shop.svc.cluster.local]")
    assert [code for code, _ in found(one + other)] == ["IST0109", "IST0109"]


def test_change_reports_new_findings_in_other_resources() -> None:
    before = Mesh(REGISTRY, read(RULE + route("{host: inventory, subset: v1}")))
    after = Mesh(REGISTRY, read(route("{host: inventory, subset: v1}")))
    [finding] = brought(before, after, [])
    assert str(finding).startswith("Error [IST0101] (VirtualService shop/r test.yaml) ")
    assert brought(after, after, []) == ()
