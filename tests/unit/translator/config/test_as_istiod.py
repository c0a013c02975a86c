"""
Small meshes in which a generator of random ones found something else than istiod makes; the expected values are its.
"""

from typing import Any

import pytest

from tests.unit.translator.config.test_destinations import http_options
from tests.unit.translator.config.test_which_counts import INVENTORY, clusters, resource
from tests.unit.translator.rig import mesh
from translator.config.authz.generator import request_principal

NAME = f"outbound|50051||{INVENTORY}"
LEGACY = "outbound|80||legacy.example"


def rule(policy: str) -> str:
    return resource("DestinationRule", f"{{host: {INVENTORY}, trafficPolicy: {policy}}}")


def peers(mode: str) -> str:
    text = resource("PeerAuthentication", f"{{mtls: {{mode: {mode}}}}}")
    return text.replace("networking.istio.io", "security.istio.io")


def entry(more: str) -> str:
    ports = "ports: [{number: 80, name: http, protocol: HTTP}]"
    return resource("ServiceEntry", f"{{hosts: [legacy.example], location: MESH_INTERNAL, {ports}, {more}}}")


def cluster(text: str, name: str = NAME, workload: str = "orders-0") -> Any:
    return clusters(mesh(text)[workload])[name]


def modes(text: str, name: str = NAME) -> list[str]:
    """Return the TLS mode of each endpoint of a cluster."""
    [assignment] = [each for each in mesh(text)["orders-0"].endpoints if each.cluster_name == name]
    fields = [e.metadata.filter_metadata["envoy.transport_socket_match"] for e in assignment.endpoints[0].lb_endpoints]
    return [dict(each).get("tlsMode", "disabled") for each in fields]


def test_clients_of_a_namespace_without_mutual_tls_have_none() -> None:
    assert cluster("").transport_socket_matches
    assert not cluster(peers("DISABLE")).transport_socket_matches


def test_endpoints_go_by_the_rules_tls_though_a_ports_policy_inherits_none() -> None:
    of_port = "portLevelSettings: [{port: {number: 50051}, connectionPool: {tcp: {maxConnections: 5}}}]"
    text = rule(f"{{tls: {{mode: DISABLE}}, {of_port}}}")
    assert cluster(text).transport_socket_matches
    assert modes("") == ["istio", "istio"]
    assert modes(text) == ["disabled", "disabled"]


def test_inbound_has_the_retry_budget_and_not_the_clients_protocol() -> None:
    pool = "connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 5}}"
    text = rule(f"{{retryBudget: {{percent: 7}}, {pool}}}").replace(INVENTORY, "pages.web.svc.cluster.local")
    text = text.replace("namespace: shop", "namespace: web")
    made = cluster(text, "inbound|8000||", "pages-0")
    assert made.circuit_breakers.thresholds[0].retry_budget.budget_percent.value == 7
    assert http_options(made).explicit_http_config.HasField("http_protocol_options")


def test_a_selector_that_chooses_nobody_has_no_cluster_and_one_without_labels_chooses_all() -> None:
    nobody = entry("resolution: DNS, workloadSelector: {labels: {app: nobody}}")
    assert LEGACY not in clusters(mesh(nobody)["orders-0"])
    everybody = cluster(entry("resolution: DNS, workloadSelector: {labels: {}}"), LEGACY)
    assert len(everybody.load_assignment.endpoints[0].lb_endpoints) > 2
    assert LEGACY in clusters(mesh(entry("resolution: DNS"))["orders-0"])


def test_a_service_account_means_that_there_is_a_sidecar() -> None:
    text = entry("resolution: STATIC, endpoints: [{address: 127.30.9.1, serviceAccount: a}, {address: 127.30.9.2}]")
    assert modes(text, LEGACY) == ["istio", "disabled"]


def test_a_name_without_a_kind_is_compared_with_all_kinds() -> None:
    made = cluster(entry("resolution: DNS, subjectAltNames: [bank.example]"), LEGACY)
    assert str(made.transport_socket_matches[0].transport_socket.typed_config).count("bank.example") == 4


def test_a_route_of_a_named_match_has_both_names() -> None:
    http = f"{{match: [{{name: first}}], route: [{{destination: {{host: {INVENTORY}}}}}]}}"
    text = resource("VirtualService", f"{{hosts: [{INVENTORY}], http: [{http}]}}")
    names = {
        route.name for routes in mesh(text)["orders-0"].routes for host in routes.virtual_hosts for route in host.routes
    }
    assert ".first" in names


@pytest.mark.parametrize(
    ("value", "issuer", "subject"),
    [
        ("*", "regex", "regex"),
        ("a/b", "exact", "exact"),
        ("a/b*", "exact", "prefix"),
        ("*a/b", "suffix", "exact"),
        ("*/b", "regex", "exact"),
        ("a/*", "exact", "regex"),
        ("a*/b*", "exact", "prefix"),
        ("*/*", "regex", "exact"),
        ("*b", "regex", "suffix"),
        ("a*", "prefix", "regex"),
    ],
)
def test_a_request_principal_has_a_wildcard_at_one_end(value: str, issuer: str, subject: str) -> None:
    found = [each.metadata.value.string_match for each in request_principal(value).and_ids.ids]
    assert [each.WhichOneof("match_pattern").removeprefix("safe_") for each in found] == [issuer, subject]
