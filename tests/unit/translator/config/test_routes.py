# ruff: noqa: E501  # a resource is easier to read on one line
"""
The translation of VirtualServices to routes, for sidecars and gateways.
"""

import textwrap

import pytest

from tests.unit.translator import simulation
from tests.unit.translator.rig import mesh
from tests.unit.translator.simulation import Call

INVENTORY = "inventory.shop.svc.cluster.local"
ORDERS = "orders.shop.svc.cluster.local"


def virtual_service(http: str, *, hosts: str = "[inventory]", name: str = "routes", more: str = "") -> str:
    head = f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: {hosts}
"""
    return (
        head + textwrap.indent(textwrap.dedent(more), "  ") + "  http:\n" + textwrap.indent(textwrap.dedent(http), "  ")
    )


def test_service_without_rules_is_called_with_istios_default_retries() -> None:
    outcome = simulation.outbound(mesh()["orders-0"], 50051, Call(f"{INVENTORY}:50051"))
    assert outcome.cluster == f"outbound|50051||{INVENTORY}"
    assert outcome.retries.num_retries.value == 2
    assert outcome.retries.retry_on == "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    assert outcome.route.route.timeout.seconds == 0


@pytest.mark.parametrize("host", ["inventory", "inventory.shop", "inventory.shop.svc", INVENTORY, f"{INVENTORY}:50051"])
def test_service_is_routed_by_every_kubernetes_dns_name(host: str) -> None:
    assert simulation.outbound(mesh()["orders-0"], 50051, Call(host)).cluster == f"outbound|50051||{INVENTORY}"


def test_short_name_resolves_in_its_own_namespace_only() -> None:
    assert simulation.outbound(mesh()["pages-0"], 50051, Call("inventory")).status == 502
    assert (
        simulation.outbound(mesh()["pages-0"], 50051, Call("inventory.shop")).cluster == f"outbound|50051||{INVENTORY}"
    )


def test_unknown_host_is_rejected() -> None:
    assert simulation.outbound(mesh()["orders-0"], 50051, Call("nobody.example")).status == 502


def test_first_match_wins_and_methods_have_their_own_timeouts() -> None:
    made = mesh(
        virtual_service(
            """
            - match: [{uri: {exact: /svc/Slow}}]
              route: [{destination: {host: inventory}}]
              timeout: 9s
            - match: [{uri: {prefix: /svc/}}, {uri: {regex: "/other/.*"}}]
              route: [{destination: {host: inventory}}]
              timeout: 250ms
            """
        )
    )["orders-0"]
    assert simulation.outbound(made, 50051, Call(INVENTORY, "/svc/Slow")).route.route.timeout.seconds == 9
    assert simulation.outbound(made, 50051, Call(INVENTORY, "/svc/Fast")).route.route.timeout.nanos == 250_000_000
    assert simulation.outbound(made, 50051, Call(INVENTORY, "/other/x")).route.route.timeout.nanos == 250_000_000
    assert simulation.outbound(made, 50051, Call(INVENTORY, "/none")).status == 404


def test_callers_deadline_is_honoured_up_to_the_timeout() -> None:
    made = mesh(virtual_service("- {route: [{destination: {host: inventory}}], timeout: 3s}"))["orders-0"]
    assert simulation.outbound(made, 50051, Call(INVENTORY)).route.route.max_grpc_timeout.seconds == 3


@pytest.mark.parametrize(
    ("match", "headers", "path", "method", "hit"),
    [
        ("headers: {x-customer: {exact: anna}}", {"x-customer": "anna"}, "/", "POST", True),
        ("headers: {x-customer: {exact: anna}}", {"x-customer": "bert"}, "/", "POST", False),
        ("headers: {x-customer: {}}", {"x-customer": "bert"}, "/", "POST", True),
        ("headers: {x-customer: {}}", {}, "/", "POST", False),
        ("headers: {x-customer: {regex: 'a.*'}}", {"x-customer": "anna"}, "/", "POST", True),
        ("withoutHeaders: {x-test: {exact: 'yes'}}", {}, "/", "POST", True),
        ("withoutHeaders: {x-test: {exact: 'yes'}}", {"x-test": "yes"}, "/", "POST", False),
        ("withoutHeaders: {x-test: {}}", {"x-test": "no"}, "/", "POST", False),
        ("method: {exact: GET}", {}, "/", "GET", True),
        ("method: {exact: GET}", {}, "/", "POST", False),
        ("authority: {prefix: inventory}", {}, "/", "POST", True),
        ("authority: {exact: elsewhere}", {}, "/", "POST", False),
        ("queryParams: {kind: {exact: big}}", {}, "/?kind=big", "POST", True),
        ("queryParams: {kind: {exact: big}}", {}, "/?kind=small", "POST", False),
        ("queryParams: {kind: {}}", {}, "/?kind=small", "POST", True),
        ("{uri: {exact: /A}, ignoreUriCase: true}", {}, "/a", "POST", True),
        ("uri: {exact: /A}", {}, "/a", "POST", False),
    ],
)
def test_match_decides_by_every_part_of_a_request(
    match: str, headers: dict[str, str], path: str, method: str, hit: bool
) -> None:
    block = match if match.startswith("{") else f"{{{match}}}"
    made = mesh(
        virtual_service(
            f"""
            - match: [{block}]
              route: [{{destination: {{host: orders}}}}]
            - route: [{{destination: {{host: inventory}}}}]
            """
        )
    )["orders-0"]
    outcome = simulation.outbound(made, 50051, Call(INVENTORY, path, method, headers))
    assert outcome.cluster == f"outbound|50051||{ORDERS if hit else INVENTORY}"


def test_source_labels_select_the_clients_of_a_route() -> None:
    made = mesh(
        virtual_service(
            """
            - match: [{sourceLabels: {version: v1}}]
              route: [{destination: {host: inventory}}]
              timeout: 1s
            - route: [{destination: {host: inventory}}]
              timeout: 2s
            """
        )
    )
    assert simulation.outbound(made["orders-0"], 50051, Call(INVENTORY)).route.route.timeout.seconds == 1
    assert simulation.outbound(made["orders-1"], 50051, Call(INVENTORY)).route.route.timeout.seconds == 2


def test_weights_share_calls_between_subsets_and_zero_gets_none() -> None:
    made = mesh(
        virtual_service(
            """
            - route:
              - {destination: {host: inventory, subset: v1}, weight: 90}
              - {destination: {host: inventory, subset: v2}, weight: 10}
              - {destination: {host: orders}, weight: 0}
            """
        )
        + """
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: inventory, namespace: shop}
spec:
  host: inventory
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"""
    )["orders-0"]
    outcome = simulation.outbound(made, 50051, Call(INVENTORY))
    assert outcome.clusters == {f"outbound|50051|v1|{INVENTORY}": 90, f"outbound|50051|v2|{INVENTORY}": 10}
    assert simulation.endpoints(made, f"outbound|50051|v2|{INVENTORY}") == ["127.30.2.2:50051"]
    assert simulation.endpoints(made, f"outbound|50051||{INVENTORY}") == ["127.30.2.1:50051", "127.30.2.2:50051"]


def test_no_attempts_means_no_retries_and_an_absent_block_the_default() -> None:
    off = mesh(virtual_service("- {route: [{destination: {host: inventory}}], retries: {attempts: 0}}"))["orders-0"]
    assert simulation.outbound(off, 50051, Call(INVENTORY)).retries is None
    absent = mesh(virtual_service("- {route: [{destination: {host: inventory}}]}"))["orders-0"]
    assert simulation.outbound(absent, 50051, Call(INVENTORY)).retries.num_retries.value == 2


def test_every_retry_field_is_translated() -> None:
    made = mesh(
        virtual_service(
            """
            - route: [{destination: {host: inventory}}]
              retries:
                attempts: 3
                perTryTimeout: 800ms
                retryOn: "connect-failure,503,429"
                backoff: 30ms
                retryIgnorePreviousHosts: false
                retryRemoteLocalities: true
            """
        )
    )["orders-0"]
    retries = simulation.outbound(made, 50051, Call(INVENTORY)).retries
    assert retries.num_retries.value == 3
    assert retries.per_try_timeout.nanos == 800_000_000
    assert retries.retry_on == "connect-failure,retriable-status-codes"
    assert list(retries.retriable_status_codes) == [503, 429]
    assert retries.retry_back_off.base_interval.nanos == 30_000_000
    assert not retries.retry_host_predicate
    assert retries.retry_priority.name == "envoy.retry_priorities.previous_priorities"


def test_redirect_rewrite_and_direct_response() -> None:
    made = mesh(
        virtual_service(
            """
            - match: [{uri: {exact: /old}}]
              redirect: {uri: /new, authority: elsewhere.example, redirectCode: 308}
            - match: [{uri: {exact: /health}}]
              directResponse: {status: 200, body: {string: fine}}
            - match: [{uri: {prefix: /a/}}]
              rewrite: {uri: /b/, authority: inside}
              route: [{destination: {host: inventory}}]
            """
        )
    )["orders-0"]
    redirect = simulation.outbound(made, 50051, Call(INVENTORY, "/old"))
    assert (redirect.status, redirect.route.redirect.path_redirect) == (308, "/new")
    answer = simulation.outbound(made, 50051, Call(INVENTORY, "/health"))
    assert (answer.status, answer.route.direct_response.body.inline_string) == (200, "fine")
    action = simulation.outbound(made, 50051, Call(INVENTORY, "/a/x")).route.route
    assert (action.prefix_rewrite, action.host_rewrite_literal) == ("/b/", "inside")


def test_headers_are_set_before_they_are_added_and_sorted() -> None:
    made = mesh(
        virtual_service(
            """
            - headers:
                request: {set: {x-b: "1", x-a: "2"}, add: {x-c: "3"}, remove: [x-gone]}
                response: {add: {x-d: "4"}}
              route: [{destination: {host: inventory}}]
            """
        )
    )["orders-0"]
    route = simulation.outbound(made, 50051, Call(INVENTORY)).route
    assert [option.header.key for option in route.request_headers_to_add] == ["x-a", "x-b", "x-c"]
    assert list(route.request_headers_to_remove) == ["x-gone"]
    assert [option.header.key for option in route.response_headers_to_add] == ["x-d"]


def test_mirror_percentage_is_translated_and_zero_mirrors_nothing() -> None:
    block = (
        "- {{route: [{{destination: {{host: inventory}}}}], mirror: {{host: orders}}, mirrorPercentage: {{value: {}}}}}"
    )
    half = mesh(virtual_service(block.format(50)))["orders-0"]
    [mirror] = simulation.outbound(half, 50051, Call(INVENTORY)).route.route.request_mirror_policies
    assert mirror.cluster == f"outbound|50051||{ORDERS}"
    assert mirror.runtime_fraction.default_value.numerator == 500_000
    none = mesh(virtual_service(block.format(0)))["orders-0"]
    assert not simulation.outbound(none, 50051, Call(INVENTORY)).route.route.request_mirror_policies


def test_fault_without_a_percentage_never_happens_as_in_istio() -> None:
    from envoy.extensions.filters.http.fault.v3 import fault_pb2

    made = mesh(
        virtual_service(
            "- {fault: {abort: {grpcStatus: UNAVAILABLE}, delay: {fixedDelay: 5s, percentage: {value: 0.5}}}, route: [{destination: {host: inventory}}]}"
        )
    )["orders-0"]
    route = simulation.outbound(made, 50051, Call(INVENTORY)).route
    fault = fault_pb2.HTTPFault()
    route.typed_per_filter_config["envoy.filters.http.fault"].Unpack(fault)
    assert (fault.abort.grpc_status, fault.abort.percentage.numerator) == (14, 0)
    assert (fault.delay.fixed_delay.seconds, fault.delay.percentage.numerator) == (5, 5000)


def test_oldest_virtual_service_wins_for_a_host_in_sidecars() -> None:
    text = virtual_service("- {route: [{destination: {host: inventory}}], timeout: 1s}", name="b")
    other = virtual_service("- {route: [{destination: {host: inventory}}], timeout: 2s}", name="a")
    newer = other.replace("name: a,", "name: a, creationTimestamp: '2026-02-01T00:00:00Z',")
    older = text.replace("name: b,", "name: b, creationTimestamp: '2026-01-01T00:00:00Z',")
    made = mesh(f"{newer}\n---\n{older}")["orders-0"]
    assert simulation.outbound(made, 50051, Call(INVENTORY)).route.route.timeout.seconds == 1


def test_virtual_service_exported_elsewhere_is_not_visible() -> None:
    made = mesh(virtual_service("- {route: [{destination: {host: inventory}}], timeout: 1s}", more="exportTo: [web]\n"))
    assert simulation.outbound(made["orders-0"], 50051, Call(INVENTORY)).route.route.timeout.seconds == 0
    assert simulation.outbound(made["pages-0"], 50051, Call(INVENTORY)).route.route.timeout.seconds == 1


GATEWAY = """
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]
"""


def test_virtual_services_of_a_gateway_merge_and_catch_alls_go_last() -> None:
    first = virtual_service(
        "- {route: [{destination: {host: orders, port: {number: 50051}}}]}",
        hosts='["*"]',
        name="a",
        more="gateways: [edge]\n",
    )
    second = virtual_service(
        "- {match: [{uri: {prefix: /inventory}}], route: [{destination: {host: inventory, port: {number: 50051}}}]}",
        hosts='["*"]',
        name="b",
        more="gateways: [edge]\n",
    )
    made = mesh(f"{first}\n---\n{second}{GATEWAY}")["edge-0"]
    assert (
        simulation.outbound(made, 8080, Call("shop.example", "/inventory/x")).cluster == f"outbound|50051||{INVENTORY}"
    )
    assert simulation.outbound(made, 8080, Call("shop.example", "/x")).cluster == f"outbound|50051||{ORDERS}"


def test_gateway_listens_on_the_registrys_address() -> None:
    [listener] = mesh(GATEWAY)["edge-0"].listeners
    assert (listener.address.socket_address.address, listener.address.socket_address.port_value) == (
        "127.30.0.1",
        18080,
    )


def test_gateway_without_routes_answers_404() -> None:
    assert simulation.outbound(mesh(GATEWAY)["edge-0"], 8080, Call("shop.example")).status == 404


def test_gateway_route_is_not_visible_to_sidecars() -> None:
    text = virtual_service("- {route: [{destination: {host: inventory}}], timeout: 1s}", more="gateways: [edge]\n")
    made = mesh(text + GATEWAY)["orders-0"]
    assert simulation.outbound(made, 50051, Call(INVENTORY)).route.route.timeout.seconds == 0


def test_unready_endpoint_is_removed() -> None:
    made = mesh(not_ready=frozenset({"inventory-0"}))["orders-0"]
    assert simulation.endpoints(made, f"outbound|50051||{INVENTORY}") == ["127.30.2.2:50051"]
