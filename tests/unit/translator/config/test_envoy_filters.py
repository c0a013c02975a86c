# ruff: noqa: E501  # a resource is easier to read on one line
"""
EnvoyFilters patch the generated configuration.
"""

from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from tests.unit.translator import simulation
from tests.unit.translator.rig import mesh, problems
from tests.unit.translator.simulation import Call
from translator.config.envoyfilter.value import parse_value

INVENTORY = "inventory.shop.svc.cluster.local"
ROUTER = "envoy.filters.http.router"
LUA = """
          name: envoy.filters.http.lua.NAME
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code: {inline_string: "-- NAME"}
"""


def envoy_filter(patches: str, *, name: str = "patch", namespace: str = "shop", more: str = "") -> str:
    return f"""
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: {name}, namespace: {namespace}}}
spec:
{more}
  configPatches:
{patches}
"""


def http_filter(operation: str, *, context: str = "SIDECAR_OUTBOUND", before: str = ROUTER, name: str = "a") -> str:
    sub = f", subFilter: {{name: {before}}}" if before else ""
    return f"""
  - applyTo: HTTP_FILTER
    match: {{context: {context}, listener: {{filterChain: {{filter: {{name: envoy.filters.network.http_connection_manager{sub}}}}}}}}}
    patch:
      operation: {operation}
      value: {LUA.replace("NAME", name)}
"""


def manager(text: str, *, workload: str = "orders-0", listener: str = "0.0.0.0_50051") -> Any:
    [found] = [one for one in mesh(text)[workload].listeners if one.name == listener]
    result = hcm.HttpConnectionManager()
    found.filter_chains[0].filters[0].typed_config.Unpack(result)
    return result


def filters(text: str, **where: str) -> list[str]:
    return [one.name for one in manager(text, **where).http_filters]


@pytest.mark.parametrize(
    ("operation", "before", "place"),
    [
        ("INSERT_FIRST", "", 0),
        ("INSERT_BEFORE", ROUTER, 3),
        ("INSERT_BEFORE", "", 0),
        ("INSERT_AFTER", "envoy.filters.http.fault", 2),
        ("INSERT_BEFORE", "envoy.filters.http.cors", 2),
    ],
)
def test_http_filter_is_inserted_at_the_given_position(operation: str, before: str, place: int) -> None:
    names = filters(envoy_filter(http_filter(operation, before=before)))
    assert names.index("envoy.filters.http.lua.a") == place
    assert names[-1] == ROUTER


def test_filter_for_another_context_changes_nothing() -> None:
    text = envoy_filter(http_filter("INSERT_BEFORE", context="GATEWAY"))
    assert filters(text) == filters("")
    inbound = {"workload": "orders-0", "listener": "virtualInbound_50051"}
    assert filters(envoy_filter(http_filter("INSERT_BEFORE")), **inbound) == filters("", **inbound)


def test_match_that_finds_nothing_changes_nothing() -> None:
    assert filters(envoy_filter(http_filter("INSERT_BEFORE", before="envoy.filters.http.none"))) == filters("")


def test_filter_after_the_router_is_rejected_by_name() -> None:
    [problem] = problems(envoy_filter(http_filter("INSERT_AFTER")).replace("---", ""))
    assert problem.startswith("test.yaml: EnvoyFilter shop/patch: spec.configPatches[0]: the last HTTP filter must be")


def test_filters_are_removed_and_replaced() -> None:
    text = envoy_filter(http_filter("REMOVE", before="envoy.filters.http.cors"))
    assert "envoy.filters.http.cors" not in filters(text)
    names = filters(envoy_filter(http_filter("REPLACE", before="envoy.filters.http.cors")))
    assert names[2] == "envoy.filters.http.lua.a"


def test_filters_apply_by_root_namespace_then_priority() -> None:
    root = envoy_filter(http_filter("INSERT_FIRST", name="root"), namespace="istio-system", name="r")
    late = envoy_filter(http_filter("INSERT_FIRST", name="late"), name="a", more="  priority: 5")
    early = envoy_filter(http_filter("INSERT_FIRST", name="early"), name="z", more="  priority: -5")
    names = filters(root + late + early)
    assert [name.rpartition(".")[2] for name in names[:3]] == ["late", "early", "root"]


def test_selector_chooses_the_workloads() -> None:
    text = envoy_filter(http_filter("INSERT_FIRST"), more="  workloadSelector: {labels: {version: v2}}")
    assert filters(text) == filters("")
    assert filters(text, workload="orders-1")[0] == "envoy.filters.http.lua.a"


def test_connection_manager_is_merged() -> None:
    text = envoy_filter("""
  - applyTo: NETWORK_FILTER
    match: {context: SIDECAR_OUTBOUND, listener: {portNumber: 50051, filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: MERGE
      value:
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stream_idle_timeout: 7s
          max_request_headers_kb: 16
""")
    merged = manager(text)
    assert (merged.stream_idle_timeout.seconds, merged.max_request_headers_kb.value) == (7, 16)
    assert [one.name for one in merged.http_filters] == filters("")
    assert manager(text, listener="0.0.0.0_80").stream_idle_timeout.seconds == 0


def test_a_gateways_port_in_a_match_is_the_gateways_port() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: edge}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
""" + envoy_filter(
        http_filter("INSERT_FIRST", context="GATEWAY").replace("listener: {", "listener: {portNumber: 8080, ")
    )
    assert filters(text, workload="edge-0", listener="0.0.0.0_8080")[0] == "envoy.filters.http.lua.a"


def test_clusters_are_merged_removed_and_added() -> None:
    text = envoy_filter(f"""
  - applyTo: CLUSTER
    match: {{cluster: {{service: {INVENTORY}, portNumber: 50051}}}}
    patch: {{operation: MERGE, value: {{common_lb_config: {{update_merge_window: 0s}}, connect_timeout: 3s}}}}
  - applyTo: CLUSTER
    match: {{cluster: {{service: pages.web.svc.cluster.local}}}}
    patch: {{operation: REMOVE}}
  - applyTo: CLUSTER
    match: {{context: SIDECAR_OUTBOUND}}
    patch: {{operation: ADD, value: {{name: extra, connect_timeout: 1s}}}}
""")
    clusters = {one.name: one for one in mesh(text)["orders-0"].clusters}
    changed = clusters[f"outbound|50051||{INVENTORY}"]
    assert changed.connect_timeout.seconds == 3
    assert changed.common_lb_config.HasField("update_merge_window")
    assert clusters["outbound|50051||orders.shop.svc.cluster.local"].connect_timeout.seconds == 10
    assert not any("pages" in name for name in clusters)
    assert "extra" in clusters


def timeouts(text: str, workload: str) -> dict[str, int]:
    return {one.name: one.connect_timeout.seconds for one in mesh(text)[workload].clusters}


@pytest.mark.parametrize("context", ["", "context: SIDECAR_INBOUND, "])
def test_a_service_match_includes_inbound_clusters(context: str) -> None:
    text = envoy_filter(f"""
  - applyTo: CLUSTER
    match: {{{context}cluster: {{service: orders.shop.svc.cluster.local}}}}
    patch: {{operation: MERGE, value: {{connect_timeout: 3s}}}}
""")
    made = timeouts(text, "orders-0")
    assert made["inbound|50051||"] == 3
    assert made["outbound|50051||orders.shop.svc.cluster.local"] == (10 if context else 3)
    assert timeouts(text, "inventory-0")["inbound|50051||"] == 10


def test_inbound_cluster_matches_need_service_and_port() -> None:
    text = envoy_filter("""
  - applyTo: CLUSTER
    match: {context: SIDECAR_INBOUND, cluster: {service: inventory.shop.svc.cluster.local}}
    patch: {operation: MERGE, value: {connect_timeout: 3s}}
  - applyTo: CLUSTER
    match: {context: SIDECAR_INBOUND, cluster: {service: orders.shop.svc.cluster.local, portNumber: 1}}
    patch: {operation: MERGE, value: {connect_timeout: 4s}}
  - applyTo: CLUSTER
    match: {context: SIDECAR_INBOUND, cluster: {service: inventory.shop.svc.cluster.local}}
    patch: {operation: REMOVE}
""")
    assert timeouts(text, "orders-0")["inbound|50051||"] == 10
    assert "inbound|50051||" not in timeouts(text, "inventory-0")


def test_hosts_and_routes_are_changed() -> None:
    text = envoy_filter("""
  - applyTo: VIRTUAL_HOST
    match: {context: SIDECAR_OUTBOUND, routeConfiguration: {name: "50051", vhost: {name: "inventory.shop.svc.cluster.local:50051"}}}
    patch: {operation: MERGE, value: {response_headers_to_add: [{header: {key: x-mesh, value: here}}]}}
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: "inventory.shop.svc.cluster.local:50051"}}}
    patch: {operation: INSERT_FIRST, value: {name: maintenance, match: {path: /closed}, direct_response: {status: 503}}}
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: "orders.shop.svc.cluster.local:50051", route: {name: default}}}}
    patch: {operation: MERGE, value: {route: {timeout: 4s}}}
""")
    made = mesh(text)["orders-0"]
    assert simulation.outbound(made, 50051, Call(INVENTORY, "/closed")).status == 503
    assert simulation.outbound(made, 50051, Call(INVENTORY, "/open")).cluster == f"outbound|50051||{INVENTORY}"
    assert simulation.outbound(made, 50051, Call("orders")).route.route.timeout.seconds == 4
    [routes] = [one for one in made.routes if one.name == "50051"]
    [host] = [one for one in routes.virtual_hosts if one.name.startswith("inventory")]
    assert host.response_headers_to_add[0].header.key == "x-mesh"


def test_inbound_routes_are_changed_in_their_listener() -> None:
    text = envoy_filter("""
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_INBOUND, routeConfiguration: {portNumber: 50051}}
    patch: {operation: MERGE, value: {route: {timeout: 6s}}}
""")
    inbound = manager(text, listener="virtualInbound_50051")
    assert inbound.route_config.virtual_hosts[0].routes[0].route.timeout.seconds == 6


def test_listeners_are_merged_and_removed() -> None:
    text = envoy_filter("""
  - applyTo: LISTENER
    match: {context: SIDECAR_OUTBOUND, listener: {portNumber: 50051}}
    patch: {operation: MERGE, value: {per_connection_buffer_limit_bytes: 4096}}
  - applyTo: LISTENER
    match: {context: SIDECAR_OUTBOUND, listener: {portNumber: 80}}
    patch: {operation: REMOVE}
""")
    listeners = {one.name: one for one in mesh(text)["orders-0"].listeners}
    assert listeners["0.0.0.0_50051"].per_connection_buffer_limit_bytes.value == 4096
    assert "0.0.0.0_80" not in listeners


@pytest.mark.parametrize(
    ("written", "seconds", "nanos"),
    [("1h1m1s1ms", 3661, 1_000_000), ("1.5s", 1, 500_000_000), ("250us", 0, 250_000), ("-1.5s", -1, -500_000_000)],
)
def test_durations_are_written_as_istio_writes_them(written: str, seconds: int, nanos: int) -> None:
    parsed = parse_value("CLUSTER", {"dns_refresh_rate": written}).dns_refresh_rate
    assert (parsed.seconds, parsed.nanos) == (seconds, nanos)
