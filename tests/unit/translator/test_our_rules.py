"""
Our rules in istio/: access control, retries, limits, and the fault files that override them.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2

from chaos.faults.make import FAULTS, made
from gateway.edge import contract
from tests.unit.translator import simulation
from tests.unit.translator.rig import REGISTRY, read
from tests.unit.translator.simulation import DENIED, Call
from translator.checks.validation import Checker
from translator.config.discovery import as_dict
from translator.config.translate import Configuration, translate
from translator.control.places import overlaid
from translator.model.mesh import Mesh
from translator.model.resources import Resource

ROOT = Path(__file__).parents[3]
ORDERS, INVENTORY = "/shop.orders.v1.OrderService/", "/shop.inventory.v1.InventoryService/"
HOST = {ORDERS: "orders.shop.svc.cluster.local", INVENTORY: "inventory.shop.svc.cluster.local"}
# The claims of a verified token of a customer and of an operator, and the headers that the edge sets from them.
ANNA = {"iss": "http://issuer", "sub": "anna"}
OPERATOR = {**ANNA, "operator": True}
IS_OPERATOR = {"x-operator": "true"}
# The VirtualServices whose routes faults are for.
ROOTS = {f"VirtualService shop/{name}" for name in ("edge", "orders", "inventory")}
REPEATABLE = {"HoldStock", "BatchHoldStock", "CommitHold", "ReleaseHold", "GetProduct", "ListProducts"}


def identity(account: str) -> str:
    return f"spiffe://cluster.local/ns/shop/sa/{account}"


@cache
def ours() -> Mapping[str, Configuration]:
    return with_fault(())


def with_fault(over: tuple[Resource, ...]) -> Mapping[str, Configuration]:
    resources = overlaid(Checker().load(ROOT / "istio"), over)
    made = translate(Mesh(REGISTRY, resources), out=Path("/out"), certificates=Path("/certificates"))
    return {configuration.workload.name: configuration for configuration in made}


def as_text(configuration: Configuration, listener: str) -> str:
    [found] = [each for each in configuration.listeners if each.name == listener]
    return json.dumps(as_dict(found))


def arrives(workload: str, path: str, by: str) -> bool:
    return simulation.inbound(ours()[workload], 50051, Call("x", path, identity=by)) != DENIED


@pytest.mark.parametrize(
    ("path", "by", "allowed"),
    [
        (f"{INVENTORY}HoldStock", "orders", True),
        (f"{INVENTORY}ReleaseHold", "orders", True),
        (f"{INVENTORY}RebuildStock", "orders", True),
        (f"{INVENTORY}RebuildStock", "edge", False),
        (f"{INVENTORY}GetProduct", "edge", True),
        (f"{INVENTORY}HoldStock", "edge", False),
        (f"{INVENTORY}Restock", "orders", False),
        (f"{INVENTORY}HoldStock", "inventory", False),
        (f"{INVENTORY}HoldStock", "stranger", False),
    ],
)
def test_inventory_admits_exactly_its_callers(path: str, by: str, allowed: bool) -> None:
    assert arrives("inventory-0", path, identity(by)) == allowed


@pytest.mark.parametrize(
    ("path", "by", "allowed"),
    [
        (f"{ORDERS}CreateOrder", "edge", True),
        ("/shop.orders.v1.AllocationService/StartGeneration", "inventory", True),
        ("/shop.orders.v1.AllocationService/StartGeneration", "edge", False),
        (f"{ORDERS}CreateOrder", "inventory", False),
        (f"{ORDERS}CreateOrder", "stranger", False),
    ],
)
def test_orders_admits_exactly_its_callers(path: str, by: str, allowed: bool) -> None:
    assert arrives("orders-0", path, identity(by)) == allowed


# The methods of the services that have a REST binding, whether or not each has one.
EDGE = contract.load(ROOT / "build" / "descriptors.binpb")
METHODS = sorted(
    f"/{service}/{method.name}" for service in EDGE.services for method in EDGE.pool.FindServiceByName(service).methods
)


@pytest.mark.parametrize("path", METHODS)
def test_edge_serves_exactly_what_the_services_admit_it_to(path: str) -> None:
    """So that a service which denies the edge can only be a mistake in the mesh, and is no definite no."""
    workload = "inventory-0" if "inventory" in path else "orders-0"
    assert arrives(workload, path, identity("edge")) == (path in EDGE.methods)


@pytest.mark.parametrize("path", EDGE.methods)
def test_edge_has_a_route_for_all_that_it_serves(path: str) -> None:
    call = Call("shop.example", path, claims=OPERATOR, headers=IS_OPERATOR)
    assert simulation.outbound(ours()["edge-0"], 8080, call).clusters


def test_plain_text_is_refused_everywhere() -> None:
    assert simulation.inbound(ours()["orders-0"], 50051, Call("x", f"{ORDERS}GetOrder")) == simulation.CLOSED


@pytest.mark.parametrize("method", [*sorted(REPEATABLE), "Restock"])
def test_only_idempotent_calls_are_retried(method: str) -> None:
    outcome = simulation.outbound(ours()["orders-0"], 50051, Call(HOST[INVENTORY], f"{INVENTORY}{method}"))
    assert (outcome.retries is not None) == (method in REPEATABLE)
    assert outcome.route.route.timeout.seconds > 0


SAFE = [f"{ORDERS}{each}" for each in ("CreateOrder", "BatchCreateOrders", "GetOrder", "ListOrders")]
SAFE += [f"{INVENTORY}{each}" for each in ("GetProduct", "ListProducts")]
# Deliveries are idempotent by their required request id.
SAFE += [f"{INVENTORY}Restock"]
ONCE = [f"{ORDERS}CancelOrder", f"{ORDERS}FulfilOrder"]


@pytest.mark.parametrize("path", [*SAFE, *ONCE])
def test_edge_retries_after_sending_only_where_idempotent(path: str) -> None:
    outcome = simulation.outbound(
        ours()["edge-0"], 8080, Call("shop.example", path, claims=OPERATOR, headers=IS_OPERATOR)
    )
    conditions = set(outcome.retries.retry_on.split(","))
    never_arrived = {"connect-failure", "refused-stream"}
    lost = {"reset", "unavailable", "cancelled", "deadline-exceeded"}
    assert conditions == never_arrived | ({"retriable-headers"} if path in ONCE else lost)


def test_calls_that_a_sidecar_did_not_forward_are_retried_whatever_they_are() -> None:
    outcome = simulation.outbound(
        ours()["edge-0"], 8080, Call("shop.example", ONCE[0], claims=OPERATOR, headers=IS_OPERATOR)
    )
    [added] = outcome.route.request_headers_to_add
    assert (added.header.key, added.header.value) == ("x-envoy-retriable-header-names", "x-app-unreachable")
    assert '"x-app-unreachable"' in as_text(ours()["orders-0"], "virtualInbound_50051")


def test_watched_order_is_not_cut_off() -> None:
    outcome = simulation.outbound(ours()["edge-0"], 8080, Call("shop.example", f"{ORDERS}WatchOrder", claims=ANNA))
    assert outcome.route.route.timeout.seconds == 0
    assert outcome.retries is None


@pytest.mark.parametrize(
    ("path", "claims", "allowed"),
    [
        (f"{ORDERS}CreateOrder", {}, False),
        (f"{ORDERS}CreateOrder", ANNA, True),
        (f"{INVENTORY}ListProducts", {}, True),
        (f"{INVENTORY}Restock", ANNA, False),
        (f"{INVENTORY}Restock", OPERATOR, True),
        (f"{ORDERS}FulfilOrder", ANNA, False),
        (f"{ORDERS}FulfilOrder", OPERATOR, True),
    ],
)
def test_edge_admits_exactly_its_callers(path: str, claims: dict[str, str], allowed: bool) -> None:
    headers = IS_OPERATOR if claims == OPERATOR else {}
    outcome = simulation.outbound(ours()["edge-0"], 8080, Call("shop.example", path, claims=claims, headers=headers))
    assert (outcome != DENIED) == allowed


# Of all that is in the mesh, a sidecar is told of what its service calls.
CALLED = {"edge-0": (ORDERS, INVENTORY), "orders-0": (INVENTORY,), "inventory-0": (ORDERS,)}


@pytest.mark.parametrize("workload", ["orders-0", "inventory-0"])
def test_a_sidecar_knows_what_its_service_calls_and_no_more(workload: str) -> None:
    known = {each.name.rpartition("|")[2] for each in ours()[workload].clusters if each.name.startswith("outbound|")}
    assert known == {HOST[name] for name in CALLED[workload]}


@pytest.mark.parametrize("workload", CALLED)
def test_breakers_open_after_three_failures_and_panic_mode_is_off(workload: str) -> None:
    names = [f"outbound|50051||{HOST[name]}" for name in CALLED[workload]]
    clusters = [each for each in ours()[workload].clusters if each.name in names]
    assert len(clusters) == len(names)
    for cluster in clusters:
        detection = cluster.outlier_detection
        assert detection.split_external_local_origin_errors
        assert detection.consecutive_local_origin_failure.value == 3
        assert detection.enforcing_consecutive_local_origin_failure.value == 100
        assert detection.max_ejection_percent.value == 100
        assert detection.max_ejection_time.seconds <= 10
        assert cluster.common_lb_config.healthy_panic_threshold.value == 0
        assert cluster.common_lb_config.HasField("update_merge_window")
        assert cluster.circuit_breakers.thresholds[0].max_retries.value < 100


@pytest.mark.parametrize("workload", ["edge-0", "orders-0", "inventory-0"])
def test_error_responses_eject_no_replica(workload: str) -> None:
    for cluster in ours()[workload].clusters:
        detection = cluster.outlier_detection
        if cluster.HasField("outlier_detection"):
            assert detection.enforcing_consecutive_5xx.value == 0
            assert detection.HasField("enforcing_consecutive_5xx")
            assert detection.enforcing_consecutive_gateway_failure.value == 0


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_files_are_up_to_date_with_the_routes(name: str) -> None:
    assert (ROOT / "chaos" / "faults" / f"{name}.yaml").read_text() == made(FAULTS[name]), "python -m chaos.faults.make"


FAULT_FILTER = "envoy.filters.http.fault"


def without_fault(route: route_components_pb2.Route) -> dict[str, Any]:
    """
    A route as text, but for its fault and for which calls it is for.
    """
    spared = route_components_pb2.Route()
    spared.CopyFrom(route)
    spared.typed_per_filter_config.pop(FAULT_FILTER, None)
    return {key: value for key, value in as_dict(spared).items() if key != "match"}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_affects_only_its_target(name: str) -> None:
    fault = FAULTS[name]
    over = read((ROOT / "chaos" / "faults" / f"{name}.yaml").read_text())
    workload, port = ("edge-0", 8080) if fault.routes.startswith("edge") else ("orders-0", 50051)
    broken = with_fault(over)[workload]
    host = HOST[INVENTORY] if workload == "orders-0" else "shop.example"
    headers = {key: value["exact"] for key, value in fault.headers.items()}
    for path in fault.paths:
        call = Call(host, path, headers=headers, claims=ANNA)
        hit = simulation.outbound(broken, port, call)
        config = fault_pb2.HTTPFault()
        hit.route.typed_per_filter_config[FAULT_FILTER].Unpack(config)
        assert config.HasField("delay") == ("delay" in fault.block)
        assert config.HasField("abort") == ("abort" in fault.block)
        # Time limits, retries, CORS, and what EnvoyFilters set on the route.
        assert without_fault(hit.route) == without_fault(simulation.outbound(ours()[workload], port, call).route)
    others = [Call(host, f"{INVENTORY}{method}", claims=ANNA) for method in ("GetProduct", "CommitHold")]
    others += [Call(host, fault.paths[0], claims=ANNA)] if headers else []
    for call in others:
        spared = simulation.outbound(broken, port, call)
        assert spared == simulation.outbound(ours()[workload], port, call)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_deleting_a_faults_file_takes_no_route_with_it(name: str) -> None:
    [fault] = read((ROOT / "chaos" / "faults" / f"{name}.yaml").read_text())
    written = Checker().load(ROOT / "istio")
    assert fault.title not in {each.title for each in written}
    assert not fault.spec.get("hosts")


def test_place_of_a_fault_is_first_and_shadows_nothing() -> None:
    roots = [each for each in Checker().load(ROOT / "istio") if each.title in ROOTS]
    assert len(roots) == len(ROOTS)
    for root in roots:
        [place, *others] = root.spec["http"]
        assert place["delegate"]["name"] == f"{root.name}-fault"
        # Without a match `kubectl apply` would warn of every route after it; with a path, faults were bound to it.
        assert place["match"]
        assert not {"uri", "headers"} & set(place["match"][0])
        assert not any("delegate" in each for each in others)
