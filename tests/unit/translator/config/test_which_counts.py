"""
Which resource applies to which client: visibility, precedence, scopes and several resources for one host.

The expected values are istiod's (pilot/pkg/model: push_context.go, sidecar.go, destination_rule.go;
core/httproute.go).
"""

import pytest

from tests.unit.translator import simulation
from tests.unit.translator.rig import mesh
from tests.unit.translator.simulation import Call
from translator.config.translate import Configuration

INVENTORY = "inventory.shop.svc.cluster.local"
PAGES = "pages.web.svc.cluster.local"
ORDERS = "orders.shop.svc.cluster.local"


def resource(kind: str, spec: str, *, name: str = "r", namespace: str = "shop", created: str = "") -> str:
    metadata = f"{{name: {name}, namespace: {namespace}, creationTimestamp: '{created}'}}"
    return f"---\n{{apiVersion: networking.istio.io/v1, kind: {kind}, metadata: {metadata}, spec: {spec}}}\n"


def routes(timeout: str, *, hosts: str = INVENTORY, more: str = "", match: str = "", **metadata: str) -> str:
    http = f"{{{match} timeout: {timeout}, route: [{{destination: {{host: {INVENTORY}}}}}]}}"
    return resource("VirtualService", f"{{hosts: ['{hosts}'], {more} http: [{http}]}}", **metadata)


def timeout_of(configuration: Configuration, host: str = INVENTORY, port: int = 50051) -> int:
    return int(simulation.outbound(configuration, port, Call(host)).route.route.timeout.seconds)


def clusters(configuration: Configuration) -> dict[str, object]:
    return {cluster.name: cluster for cluster in configuration.clusters}


def limit_of(configuration: Configuration, host: str = INVENTORY) -> int:
    cluster = clusters(configuration)[f"outbound|50051||{host}"]
    return int(cluster.circuit_breakers.thresholds[0].max_connections.value)  # type: ignore[attr-defined]


def rule(limit: int, more: str = "", **metadata: str) -> str:
    policy = f"trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {limit}}}}}}}"
    return resource("DestinationRule", f"{{host: {INVENTORY}, {policy}, {more}}}", **metadata)


def test_private_routes_precede_namespace_routes_and_these_public_ones() -> None:
    public = routes("1s", name="a", namespace="shop")
    shown = routes("2s", more="exportTo: [shop],", name="b", namespace="web")
    private = routes("3s", more='exportTo: ["."],', name="c")
    assert timeout_of(mesh(public)["orders-0"]) == 1
    assert timeout_of(mesh(public + shown)["orders-0"]) == 2
    assert timeout_of(mesh(public + shown + private)["orders-0"]) == 3
    assert timeout_of(mesh(public + shown + private)["pages-0"]) == 1


def test_older_routes_precede_newer_ones_whatever_their_names() -> None:
    old = routes("1s", name="z", created="2026-01-01T00:00:00Z")
    new = routes("2s", name="a", created="2026-01-02T00:00:00Z")
    assert timeout_of(mesh(old + new)["orders-0"]) == 1


def test_virtual_service_without_a_route_for_the_client_falls_through() -> None:
    others = routes("1s", match="match: [{sourceLabels: {app: nobody}}],", name="a")
    assert timeout_of(mesh(others + routes("2s", name="b"))["orders-0"]) == 2


def test_other_host_of_a_virtual_service_is_routed_on_the_services_port() -> None:
    http = f"http: [{{timeout: 9s, route: [{{destination: {{host: {INVENTORY}}}}}]}}]"
    made = mesh(resource("VirtualService", f"{{hosts: [{INVENTORY}, other.example], {http}}}"))["orders-0"]
    assert timeout_of(made, "other.example") == 9
    assert timeout_of(made, "other.example", 80) == 9


def test_destination_without_a_port_keeps_the_request_port() -> None:
    text = resource(
        "VirtualService", f"{{hosts: [{INVENTORY}], http: [{{route: [{{destination: {{host: {PAGES}}}}}]}}]}}"
    )
    assert simulation.outbound(mesh(text)["orders-0"], 50051, Call(INVENTORY)).cluster == f"outbound|50051||{PAGES}"


def test_routes_of_a_namespace_that_is_not_imported_are_ignored() -> None:
    narrow = resource("Sidecar", "{egress: [{hosts: [./*]}]}")
    made = mesh(routes("5s", namespace="web"))
    assert timeout_of(made["orders-0"]) == 5
    assert timeout_of(mesh(narrow + routes("5s", namespace="web"))["orders-0"]) == 0


def test_destinations_of_imported_routes_are_reachable() -> None:
    narrow = resource("Sidecar", f"{{egress: [{{hosts: ['./{INVENTORY}']}}]}}")
    destination = f"{{destination: {{host: {PAGES}, port: {{number: 80}}}}}}"
    text = resource("VirtualService", f"{{hosts: [{INVENTORY}], http: [{{route: [{destination}]}}]}}")
    found = clusters(mesh(narrow + text)["orders-0"])
    assert f"outbound|80||{PAGES}" in found
    # Only the port that the route names.
    assert f"outbound|9000||{PAGES}" not in found
    assert f"outbound|80||{PAGES}" not in clusters(mesh(narrow)["orders-0"])


def test_namespace_after_a_tilde_is_excluded() -> None:
    found = clusters(mesh(resource("Sidecar", "{egress: [{hosts: ['*/*', '~web/*']}]}"))["orders-0"])
    assert f"outbound|50051||{ORDERS}" in found
    assert f"outbound|80||{PAGES}" not in found


@pytest.mark.parametrize("selector", ["{}", "{labels: {}}"])
def test_a_sidecar_with_a_selector_without_labels_is_for_its_own_namespace_only(selector: str) -> None:
    narrow = f"{{workloadSelector: {selector}, egress: [{{hosts: ['./*']}}]}}"
    of_root = resource("Sidecar", narrow, namespace="istio-system")
    assert f"outbound|80||{PAGES}" in clusters(mesh(of_root)["orders-0"])
    # There it precedes one without a selector, and is no weaker than one with labels.
    wide = resource("Sidecar", "{egress: [{hosts: ['*/*']}]}", name="a")
    labels = "workloadSelector: {labels: {app: orders}}, egress: [{hosts: ['*/*']}]"
    older = resource("Sidecar", narrow, name="z", created="2026-01-01T00:00:00Z")
    newer = resource("Sidecar", f"{{{labels}}}", name="b", created="2026-01-02T00:00:00Z")
    assert f"outbound|80||{PAGES}" not in clusters(mesh(wide + older + newer)["orders-0"])


def test_rule_with_a_workload_selector_applies_to_those_clients_only() -> None:
    made = mesh(rule(7, "workloadSelector: {matchLabels: {version: v1}}"))
    assert limit_of(made["orders-0"]) == 7
    assert limit_of(made["orders-1"]) == 4294967295
    assert limit_of(made["pages-0"]) == 4294967295


def test_rule_with_a_workload_selector_does_not_affect_inbound() -> None:
    made = mesh(rule(7, "workloadSelector: {matchLabels: {app: inventory}}"))["inventory-0"]
    inbound = clusters(made)["inbound|50051||"]
    assert inbound.circuit_breakers.thresholds[0].max_connections.value == 4294967295  # type: ignore[attr-defined]


def test_destination_rules_apply_by_client_service_then_root_namespace() -> None:
    of_root, of_service = rule(1, namespace="istio-system"), rule(2, namespace="shop")
    of_client = rule(3, namespace="web")
    assert limit_of(mesh(of_root)["pages-0"]) == 1
    assert limit_of(mesh(of_root + of_service)["pages-0"]) == 2
    assert limit_of(mesh(of_root + of_service + of_client)["pages-0"]) == 3
    assert limit_of(mesh(of_root + of_service + of_client)["orders-0"]) == 2


def test_rule_exported_elsewhere_is_not_visible_in_its_own_namespace() -> None:
    made = mesh(rule(4, "exportTo: [web]"))
    assert limit_of(made["pages-0"]) == 4
    assert limit_of(made["orders-0"]) == 4294967295


def test_retry_budget_needs_no_connection_pool() -> None:
    made = mesh(resource("DestinationRule", f"{{host: {INVENTORY}, trafficPolicy: {{retryBudget: {{percent: 7}}}}}}"))
    cluster = clusters(made["orders-0"])[f"outbound|50051||{INVENTORY}"]
    assert cluster.circuit_breakers.thresholds[0].retry_budget.budget_percent.value == 7  # type: ignore[attr-defined]


def entry(host: str, port: int, address: str, name: str) -> str:
    ports = f"ports: [{{number: {port}, name: http-{port}, protocol: HTTP}}]"
    endpoints = f"endpoints: [{{address: {address}}}]"
    return resource("ServiceEntry", f"{{hosts: ['{host}'], resolution: STATIC, {ports}, {endpoints}}}", name=name)


def test_service_entries_of_one_host_add_their_ports() -> None:
    made = mesh(entry("bank.example", 80, "127.30.9.1", "a") + entry("bank.example", 8080, "127.30.9.2", "b"))[
        "orders-0"
    ]
    assert simulation.endpoints(made, "outbound|80||bank.example") == ["127.30.9.1:80"]
    assert simulation.endpoints(made, "outbound|8080||bank.example") == ["127.30.9.2:8080"]


def test_wildcard_service_entry_with_addresses_is_reachable() -> None:
    made = mesh(entry("*.bank.example", 80, "127.30.9.1", "a"))["orders-0"]
    cluster = simulation.outbound(made, 80, Call("any.bank.example")).cluster
    assert simulation.endpoints(made, cluster) == ["127.30.9.1:80"]
