"""The conversion of Prometheus series to the board."""

import pytest

from gateway.pages import shape
from gateway.pages.prometheus import Sample, Series

INVENTORY = "outbound|50051||inventory.shop.svc.cluster.local"


def sample(value, **labels):
    return Sample({"cluster_name": INVENTORY, "service": "orders", "pod": "orders-0", **labels}, value)


def test_only_services_with_calls_are_shown():
    quiet = sample(0, service="inventory", cluster_name="outbound|50051||orders.shop.svc.cluster.local")
    found = {"calls": [sample(40), quiet], "rate": [sample(2.5), quiet], "errors": [sample(0.5)]}
    assert shape.calls(found) == [{"from": "orders", "to": "inventory", "calls": 40, "rate": 2.5, "errors": 0.5}]


def test_subsets_of_a_service_count_together():
    other = sample(1.5, cluster_name="outbound|50051|v2|inventory.shop.svc.cluster.local")
    [line] = shape.calls({"calls": [sample(1)], "rate": [sample(1), other]})
    assert line["rate"] == 2.5


@pytest.mark.parametrize(
    ("hosts", "ejected", "state"), [(2, 0, "closed"), (2, 1, "partly"), (2, 2, "open"), (0, 0, "empty")]
)
def test_a_breaker_is_open_without_healthy_hosts(hosts, ejected, state):
    found = {"calls": [sample(9)], "hosts": [sample(hosts)], "ejected": [sample(ejected)]}
    [line] = shape.breakers(found)
    assert line["state"] == state
    assert (line["from"], line["pod"], line["to"]) == ("orders", "orders-0", "inventory")


CALLS = "outbound|50051|calls|orders.shop.svc.cluster.local"
PLAIN = "outbound|50051||orders.shop.svc.cluster.local"


@pytest.mark.parametrize("order", [(CALLS, PLAIN), (PLAIN, CALLS)])
def test_each_subset_has_its_own_breaker(order):
    edge = {"service": "edge", "pod": "edge-0"}
    ejected = {CALLS: 2, PLAIN: 0}
    found = {
        "calls": [Sample({"cluster_name": name, **edge}, 9) for name in order],
        "hosts": [Sample({"cluster_name": name, **edge}, 2) for name in order],
        "ejected": [Sample({"cluster_name": name, **edge}, ejected[name]) for name in order],
    }
    breakers = {line["subset"]: (line["state"], line["ejected"], line["hosts"]) for line in shape.breakers(found)}
    assert breakers == {"calls": ("open", 2, 2), "": ("closed", 0, 2)}


def test_a_fresh_sidecar_is_shown_with_its_services_calls():
    found = {"calls": [sample(9)], "hosts": [sample(0), sample(0, pod="orders-1")]}
    assert [(line["pod"], line["state"]) for line in shape.breakers(found)] == [
        ("orders-0", "empty"),
        ("orders-1", "empty"),
    ]


def test_a_sidecar_with_only_failed_calls_is_shown():
    [line] = shape.breakers({"calls": [sample(0)], "uncallable": [sample(3)], "hosts": [sample(0)]})
    assert line["state"] == "empty"


def test_a_breaker_of_a_service_that_was_never_called_is_not_shown():
    assert shape.breakers({"calls": [sample(0)], "hosts": [sample(2)]}) == []


def points(*ups):
    return Series({"pod": "orders-0"}, tuple((100.0 + 5 * number, float(up)) for number, up in enumerate(ups)))


def test_an_outage_lasts_from_the_first_failed_scrape_to_the_next_success():
    assert shape.outages([points(1, 0, 1, 1, 0, 0, 0, 1)]) == {
        "orders-0": {"since": 120.0, "until": 135.0, "seconds": 15.0}
    }


def test_an_ongoing_outage_has_no_end():
    assert shape.outages([points(1, 1, 0, 0)]) == {"orders-0": {"since": 110.0, "until": None, "seconds": 5.0}}


def test_a_pod_that_was_always_there_has_no_outage():
    assert shape.outages([points(1, 1, 1)]) == {}


def test_units_that_do_not_add_up_are_shown_with_the_difference():
    units = {"on_hand": 10, "available": 4, "held": 2, "sold": 3}
    assert shape.product("products/mug", "Mug", units)["off"] == 1


def alert(name, severity, since, **labels):
    return Sample({"__name__": "ALERTS_FOR_STATE", "alertname": name, "severity": severity, **labels}, since)


def test_alerts_are_sorted_by_severity_and_age():
    found = [
        alert("B", "ticket", 10.0),
        alert("A", "page", 30.0, service="orders", pod="orders-1"),
        alert("C", "page", 20.0),
    ]
    alerts = shape.alerts(found)
    assert [each["name"] for each in alerts] == ["C", "A", "B"]
    assert alerts[1] == {
        "name": "A",
        "severity": "page",
        "since": 30.0,
        "labels": {"service": "orders", "pod": "orders-1"},
    }


def test_malformed_alerts_are_omitted():
    assert shape.alerts([Sample({}, 3.0)]) == []


@pytest.mark.parametrize("name", ["inbound|50051||", "", "xds-grpc"])
def test_inbound_clusters_have_no_service(name):
    assert shape.service_of(name) is None


def test_a_pod_that_was_replaced_is_no_longer_shown():
    old, new = (
        Sample({"service": "orders", "pod": "orders-a"}, 2.0),
        Sample({"service": "orders", "pod": "orders-b"}, 1.0),
    )
    [line] = shape.pods({"up": [new], "restarts": [old, new]}, {"orders-a": {"since": 1.0}})
    assert line == {"service": "orders", "pod": "orders-b", "up": 1.0, "restarts": 1.0, "outage": None}


def test_a_gateway_is_up_when_its_proxy_is():
    edge = Sample({"service": "edge", "pod": "edge-0"}, 0.0)
    [line] = shape.pods({"up": [], "proxy_up": [edge]}, {})
    assert line == {"service": "edge", "pod": "edge-0", "proxy_up": 0.0, "outage": None}
