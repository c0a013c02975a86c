"""
Outer time limits exceed inner ones: every timeout along a call's path, in the configuration of our rules.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from orders_svc.settings import Settings as OrdersSettings
from runtime.settings import ServiceSettings
from tests.unit.translator import simulation
from tests.unit.translator.simulation import Call
from tests.unit.translator.test_our_rules import ANNA, HOST, INVENTORY, ORDERS, ours

CREATE, BATCH, HOLD = f"{ORDERS}CreateOrder", f"{ORDERS}BatchCreateOrders", f"{INVENTORY}BatchHoldStock"
WORKLOADS = ("edge-0", "orders-0", "inventory-0")
# Tolerance for a busy machine.
MARGIN_S = 0.1


def seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def hops(workload: str) -> Iterator[Any]:
    """Return the routes by which a workload calls a service over gRPC."""
    for configuration in ours()[workload].routes:
        for host in configuration.virtual_hosts:
            for route in host.routes:
                if "|50051|" in route.route.cluster:
                    yield route


def inbound_routes(workload: str) -> Iterator[Any]:
    for listener in ours()[workload].listeners:
        for chain in listener.filter_chains if listener.name.startswith("virtualInbound") else ():
            manager = hcm.HttpConnectionManager()
            chain.filters[0].typed_config.Unpack(manager)
            yield from manager.route_config.virtual_hosts[0].routes


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_timed_out_try_is_retried_whichever_way_it_is_reported(workload: str) -> None:
    tried = [route for route in hops(workload) if route.route.retry_policy.HasField("per_try_timeout")]
    assert tried
    for route in tried:
        conditions = set(route.route.retry_policy.retry_on.split(","))
        # 504 is Envoy's own timeout; the others are how a sidecar reports one.
        assert {"reset", "deadline-exceeded", "unavailable", "cancelled"} <= conditions, route.name


@pytest.mark.parametrize("workload", WORKLOADS)
def test_two_whole_tries_fit_into_every_call(workload: str) -> None:
    for route in hops(workload):
        one = seconds(route.route.retry_policy.per_try_timeout)
        if one:
            assert 2 * one + MARGIN_S < seconds(route.route.timeout), route.name


@pytest.mark.parametrize("workload", WORKLOADS)
def test_retryable_calls_have_a_per_try_timeout(workload: str) -> None:
    for route in hops(workload):
        policy = route.route.retry_policy
        if "reset" in policy.retry_on.split(","):
            assert policy.HasField("per_try_timeout"), route.name


@pytest.mark.parametrize("workload", ["orders-0", "inventory-0"])
def test_sidecar_times_out_before_its_caller(workload: str) -> None:
    shortest = min(
        seconds(route.route.retry_policy.per_try_timeout)
        for each in WORKLOADS
        for route in hops(each)
        if route.route.retry_policy.HasField("per_try_timeout")
    )
    routes = list(inbound_routes(workload))
    assert routes
    for route in routes:
        offset = seconds(route.route.max_stream_duration.grpc_timeout_header_offset)
        assert MARGIN_S <= offset <= shortest / 4


def outer(path: str) -> Any:
    return simulation.outbound(ours()["edge-0"], 8080, Call("shop.example", path, claims=ANNA)).route.route


def test_orders_timeout_for_inventory_is_below_the_edges_for_orders() -> None:
    hold = simulation.outbound(ours()["orders-0"], 50051, Call(HOST[INVENTORY], HOLD)).route.route
    waits = OrdersSettings.model_fields["hold_timeout_s"].default
    one_try, whole = seconds(hold.retry_policy.per_try_timeout), seconds(hold.timeout)
    assert one_try + MARGIN_S < waits < whole
    assert whole + MARGIN_S < seconds(outer(CREATE).retry_policy.per_try_timeout)


def test_a_services_default_deadline_is_below_the_longest_try() -> None:
    longest = ServiceSettings.model_fields["default_deadline_s"].default
    assert longest + MARGIN_S < seconds(outer(BATCH).retry_policy.per_try_timeout)


def test_batches_have_their_own_limits_and_breaker() -> None:
    assert outer(BATCH).cluster != outer(CREATE).cluster
