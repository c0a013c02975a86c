"""
Small meshes in which a generator of random ones found something else than istiod makes; the expected values are its.
"""

from typing import Any

import pytest
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

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


def peer_names(made: Any) -> list[str]:
    """Return the names of which a peer must have one, of a cluster over TLS by a rule or by default."""
    socket = (
        made.transport_socket
        if made.HasField("transport_socket")
        else made.transport_socket_matches[0].transport_socket
    )
    context = tls_pb2.UpstreamTlsContext()
    socket.typed_config.Unpack(context)
    default = context.common_tls_context.combined_validation_context.default_validation_context
    return [each.matcher.exact for each in default.match_typed_subject_alt_names]


def test_names_of_a_peer_are_those_of_its_workloads_and_of_the_entry_each_once_in_order() -> None:
    endpoints = "endpoints: [{address: 127.30.9.1, serviceAccount: b}, {address: 127.30.9.2, serviceAccount: a}]"
    account = "spiffe://cluster.local/ns/shop/sa/"
    made = cluster(entry(f"resolution: STATIC, subjectAltNames: ['x://z', 'x://c', 'x://z'], {endpoints}"), LEGACY)
    assert peer_names(made) == [f"{account}a", f"{account}b", "x://c", "x://z"]


def test_entries_of_one_host_share_their_accounts_and_the_newest_gives_the_other_names() -> None:
    account = "endpoints: [{{address: 127.30.9.1, serviceAccount: {}}}]"
    old = entry(f"resolution: STATIC, subjectAltNames: ['x://old'], {account.format('a')}")
    new = entry(f"resolution: STATIC, subjectAltNames: ['x://new'], {account.format('b')}")
    new = new.replace("name: r,", "name: s,").replace("number: 80, name: http", "number: 81, name: http-more")
    both = old.replace("Timestamp: ''", "Timestamp: '2026-01-01T00:00:00Z'")
    both += new.replace("Timestamp: ''", "Timestamp: '2026-01-02T00:00:00Z'")
    prefix = "spiffe://cluster.local/ns/shop/sa/"
    for name in (LEGACY, "outbound|81||legacy.example"):
        assert peer_names(cluster(both, name)) == [f"{prefix}a", f"{prefix}b", "x://new"]


@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL"])
def test_tls_to_an_entry_checks_the_entrys_names_unless_the_rule_has_some(mode: str) -> None:
    files = "clientCertificate: /a, privateKey: /b, caCertificates: /c"
    legacy = entry("resolution: DNS, subjectAltNames: ['x://entry']")
    plain = f"{{tls: {{mode: {mode}, {files}}}}}"
    own = f"{{tls: {{mode: {mode}, {files}, subjectAltNames: ['x://rule']}}}}"
    to_legacy = [legacy + rule(policy).replace(INVENTORY, "legacy.example") for policy in (plain, own)]
    assert [peer_names(cluster(text, LEGACY)) for text in to_legacy] == [["x://entry"], ["x://rule"]]
    assert http_options(cluster(to_legacy[0], LEGACY)).upstream_http_protocol_options.auto_san_validation
    # To a service of Kubernetes, a rule's own TLS checks no identity.
    assert peer_names(cluster(rule(plain))) == []


@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL"])
def test_a_sidecar_has_tls_by_a_secret_only_by_a_rule_that_selects_it(mode: str) -> None:
    text = rule(f"{{tls: {{mode: {mode}, credentialName: shop-tls}}, connectionPool: {{tcp: {{maxConnections: 5}}}}}}")
    made = cluster(text)
    assert not made.HasField("transport_socket")
    assert not made.transport_socket_matches
    assert not http_options(made).HasField("upstream_http_protocol_options")
    assert made.circuit_breakers.thresholds[0].max_connections.value == 5
    assert "kubernetes://shop-tls-cacert" in str(cluster(text, workload="edge-0").transport_socket)
    selected = text.replace("spec: {", "spec: {workloadSelector: {matchLabels: {app: orders}}, ")
    assert "kubernetes://shop-tls-cacert" in str(cluster(selected).transport_socket)


def test_a_subsets_tls_by_a_secret_is_the_same() -> None:
    subset = "{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: SIMPLE, credentialName: shop-tls}}}"
    text = resource("DestinationRule", f"{{host: {INVENTORY}, subsets: [{subset}]}}")
    name = f"outbound|50051|v1|{INVENTORY}"
    assert not cluster(text, name).HasField("transport_socket")
    assert cluster(text, name, "edge-0").HasField("transport_socket")


def test_a_redirect_to_https_holds_for_every_host_that_the_server_takes() -> None:
    port = "port: {number: 8080, name: http, protocol: HTTP}"
    for hosts in ("shop/*", "*"):
        server = f"{{{port}, hosts: ['{hosts}'], tls: {{httpsRedirect: true}}}}"
        gateway = resource("Gateway", f"{{selector: {{istio: edge}}, servers: [{server}]}}", name="g")
        route = f"http: [{{route: [{{destination: {{host: {INVENTORY}}}}}]}}]"
        text = gateway + resource("VirtualService", f"{{hosts: [shop.example], gateways: [g], {route}}}")
        [routes] = mesh(text)["edge-0"].routes
        found = {host.domains[0]: host.require_tls for host in routes.virtual_hosts}
        assert found == {
            "shop.example": route_components_pb2.VirtualHost.ALL,
            hosts: route_components_pb2.VirtualHost.ALL,
        }


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
