# ruff: noqa: E501  # a resource is easier to read on one line
"""
Routes that a VirtualService leaves to another one: what istiod makes of them (asked of it with the same resources).
"""

from typing import Any

import pytest

from tests.unit.translator import simulation
from tests.unit.translator.rig import mesh, problems, read
from tests.unit.translator.simulation import Call
from translator.checks.unheard import undelegated
from translator.model.delegates import roots
from translator.model.mesh import Mesh
from translator.model.registry import Registry

INVENTORY = "inventory.shop.svc.cluster.local"
FAULT = "envoy.filters.http.fault"
ROUTE = "route: [{destination: {host: inventory}}]"
ABORT = "fault: {abort: {httpStatus: 503, percentage: {value: 100}}}"


def virtual_service(spec: str, *, name: str, namespace: str = "shop") -> str:
    return f"---\n{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}\n"


def root(entry: str, *, delegate: str = "{name: fault}", hosts: str = "hosts: [inventory]") -> str:
    more = f", {entry}" if entry else ""
    return virtual_service(
        f"{{{hosts}, http: [{{delegate: {delegate}{more}}}, {{name: usual, {ROUTE}, timeout: 9s}}]}}", name="inventory"
    )


def delegate(*http: str, more: str = "", namespace: str = "shop") -> str:
    return virtual_service(
        f"{{{more} http: [{', '.join(f'{{{each}}}' for each in http)}]}}", name="fault", namespace=namespace
    )


def routes(text: str) -> list[dict[str, Any]]:
    """
    The routes of the one VirtualService with hosts, with those of its delegates.
    """
    [found] = roots(read(text), "cluster.local")
    return list(found.spec["http"])


def called(text: str, path: str = "/a", workload: str = "orders-0") -> simulation.Outcome:
    return simulation.outbound(mesh(text)[workload], 50051, Call(INVENTORY, path))


def is_faulty(text: str, path: str = "/a", workload: str = "orders-0") -> bool:
    return FAULT in called(text, path, workload).route.typed_per_filter_config


def test_delegate_that_is_not_there_leaves_out_its_entry_alone() -> None:
    assert called(root("match: [{port: 50051}]")).route.name == "usual"
    # Also if nothing is left: then the service is called as without a VirtualService.
    assert (
        called(virtual_service("{hosts: [inventory], http: [{delegate: {name: fault}}]}", name="a")).route.name
        == "default"
    )


def test_delegates_routes_take_the_place_of_the_entry() -> None:
    text = root("match: [{port: 50051}]") + delegate(f"match: [{{uri: {{exact: /a}}}}], {ROUTE}, {ABORT}")
    assert is_faulty(text, "/a")
    assert not is_faulty(text, "/b")
    assert called(text, "/b").route.name == "usual"


def test_delegate_alone_is_for_no_call() -> None:
    assert called(delegate(f"{ROUTE}, {ABORT}")).route.name == "default"


@pytest.mark.parametrize("hosts", ['hosts: ["*"], gateways: [edge]', "hosts: [shop.example], gateways: [edge, mesh]"])
def test_gateways_follow_delegates_too(hosts: str) -> None:
    gateway = "---\n{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: edge, namespace: shop}, spec: {selector: {istio: edge}, servers: [{port: {number: 8080, name: a, protocol: HTTP}, hosts: ['*']}]}}\n"
    text = gateway + root("match: [{gateways: [edge]}]", hosts=hosts)
    call = Call("shop.example", "/a")
    assert simulation.outbound(mesh(text)["edge-0"], 8080, call).route.name == "usual"
    broken = mesh(text + delegate(f"{ROUTE}, {ABORT}"))["edge-0"]
    assert FAULT in simulation.outbound(broken, 8080, call).route.typed_per_filter_config


@pytest.mark.parametrize(
    ("place", "namespace", "more", "there"),
    [
        ("{name: fault}", "shop", "", True),
        ("{name: fault}", "web", "", False),
        ("{name: fault, namespace: web}", "web", "", True),
        ("{name: fault, namespace: web}", "web", "exportTo: ['.'],", False),
        ("{name: fault, namespace: web}", "web", "exportTo: [shop],", True),
        ("{name: fault}", "shop", "exportTo: ['.'],", True),
        ("{name: fault}", "shop", "exportTo: [web],", False),
        ("{name: other}", "shop", "", False),
        ("{}", "shop", "", False),
    ],
)
def test_delegate_is_found_by_namespace_and_name_where_it_is_shown(
    place: str, namespace: str, more: str, there: bool
) -> None:
    made = delegate(f"route: [{{destination: {{host: {INVENTORY}}}}}], {ABORT}", more=more, namespace=namespace)
    assert is_faulty(root("", delegate=place) + made) == there


def test_hosts_and_gateways_mean_what_they_do_where_they_are_written() -> None:
    text = root("", delegate="{name: fault, namespace: web}") + delegate(
        "match: [{gateways: [a]}], route: [{destination: {host: pages}}], mirror: {host: pages}, mirrors: []",
        namespace="web",
    )
    [first, usual] = routes(text)
    assert first["route"][0]["destination"]["host"] == "pages.web.svc.cluster.local"
    assert first["mirror"]["host"] == "pages.web.svc.cluster.local"
    assert first["match"][0]["gateways"] == ["web/a"]
    assert usual["route"][0]["destination"]["host"] == INVENTORY


def test_a_delegates_route_overrides_what_its_roots_route_sets() -> None:
    outer = "name: slot, timeout: 2s, retries: {attempts: 3}, corsPolicy: {maxAge: 1m}, headers: {request: {set: {a: b}}}, mirrors: [{destination: {host: orders}}]"
    [inherits, overrides, _] = routes(
        root(outer) + delegate(ROUTE, f"name: own, timeout: 5s, {ROUTE}, retries: {{}}, mirrors: []")
    )
    assert (inherits["name"], inherits["timeout"], inherits["retries"]) == ("slot", "2s", {"attempts": 3})
    assert inherits["corsPolicy"] == {"maxAge": "1m"}
    assert (overrides["name"], overrides["timeout"], overrides["retries"]) == ("slot-own", "5s", {})
    # A list that is empty is none.
    assert overrides["mirrors"] == inherits["mirrors"] != []
    assert overrides["headers"] == inherits["headers"]


@pytest.mark.parametrize(
    ("outer", "inner", "match"),
    [
        ("{port: 50051}", "{uri: {exact: /a}}", [{"uri": {"exact": "/a"}, "port": 50051}]),
        ("{port: 50051}", "{port: 80}", None),
        ("{uri: {prefix: /a}}", "{uri: {exact: /ab}}", [{"uri": {"exact": "/ab"}}]),
        ("{uri: {prefix: /a}}", "{uri: {prefix: /ab}}", [{"uri": {"prefix": "/ab"}}]),
        ("{uri: {prefix: /a}}", "{uri: {prefix: /b}}", None),
        ("{uri: {prefix: /a}}", "{uri: {exact: /b}}", None),
        ("{uri: {prefix: /a}}", "{uri: {regex: /a.}}", None),
        ("{uri: {regex: /a.}}", "{uri: {exact: /ab}}", None),
        ("{uri: {exact: /a}}", "{uri: {exact: /a}}", [{"uri": {"exact": "/a"}}]),
        ("{uri: {exact: /a}}", "{uri: {prefix: /a}}", None),
        ("{uri: {exact: /a}}", "{method: {exact: GET}}", [{"uri": {"exact": "/a"}, "method": {"exact": "GET"}}]),
        ("{uri: {}}", "{uri: {exact: /a}}", None),
        (
            "{headers: {x: {exact: a}}}",
            "{headers: {y: {exact: b}}}",
            [{"headers": {"x": {"exact": "a"}, "y": {"exact": "b"}}}],
        ),
        ("{headers: {x: {exact: a}}}", "{headers: {x: {exact: b}}}", None),
        ("{headers: {x: {}}}", "{headers: {x: {exact: b}}}", None),
        ("{withoutHeaders: {x: {}}}", "{withoutHeaders: {x: {}}}", None),
        ("{queryParams: {x: {exact: a}}}", "{queryParams: {x: {exact: b}}}", None),
        ("{sourceLabels: {app: a}}", "{sourceLabels: {version: b}}", [{"sourceLabels": {"app": "a", "version": "b"}}]),
        ("{sourceLabels: {app: a}}", "{sourceLabels: {app: b}}", None),
        ("{sourceNamespace: shop}", "{uri: {exact: /a}}", None),
        ("{sourceNamespace: shop}", "{sourceNamespace: shop}", [{"sourceNamespace": "shop"}]),
        ("{gateways: [a, mesh]}", "{gateways: [mesh]}", [{"gateways": ["mesh"]}]),
        ("{gateways: [a]}", "{gateways: [b]}", None),
        ("{gateways: [a]}", "{uri: {exact: /a}}", [{"gateways": ["shop/a"], "uri": {"exact": "/a"}}]),
        ("{gateways: [a]}", "{gateways: [shop/a, shop/b]}", None),
        ("{uri: {exact: /a}}", "{uri: {exact: /a}, ignoreUriCase: true}", None),
        (
            "{uri: {exact: /a}, statPrefix: s, name: one}",
            "{name: two}",
            [{"uri": {"exact": "/a"}, "statPrefix": "s", "name": "one-two"}],
        ),
    ],
)
def test_a_match_is_within_the_roots_or_its_route_is_left_out(
    outer: str, inner: str, match: list[dict[str, Any]] | None
) -> None:
    text = root(f"match: [{outer}]") + delegate(f"match: [{inner}], {ROUTE}")
    found = [
        {key: value for key, value in each.items() if value != ""}
        for route in routes(text)[:-1]
        for each in route["match"]
    ]
    assert found == (match or [])


def test_each_match_is_combined_with_each_of_the_roots_that_allows_it() -> None:
    text = root("match: [{uri: {prefix: /a}}, {uri: {prefix: /ab}}]") + delegate(
        f"match: [{{uri: {{exact: /abc}}}}, {{uri: {{exact: /ad}}}}], {ROUTE}"
    )
    assert [each["uri"]["exact"] for each in routes(text)[0]["match"]] == ["/abc", "/abc", "/ad"]
    # One that none allows takes its whole route with it, not its neighbours.
    text = root("match: [{uri: {prefix: /a}}]") + delegate(
        f"match: [{{uri: {{exact: /a}}}}, {{uri: {{exact: /b}}}}], {ROUTE}", f"name: other, {ROUTE}"
    )
    assert [each["name"] for each in routes(text)] == ["other", "usual"]


def test_two_entries_may_have_one_delegate() -> None:
    text = virtual_service(
        f"{{hosts: [inventory], http: [{{match: [{{uri: {{prefix: /a}}}}], delegate: {{name: fault}}}}, {{match: [{{uri: {{prefix: /b}}}}], delegate: {{name: fault}}}}, {{{ROUTE}}}]}}",
        name="inventory",
    )
    assert [is_faulty(text + delegate(f"{ROUTE}, {ABORT}"), path) for path in ("/a", "/b", "/c")] == [True, True, False]


def test_mistake_is_reported_where_it_is_written() -> None:
    # Only with the root is it known that there is no cluster for this redirect's code.
    text = root("") + delegate("name: one, match: [{uri: {exact: /a}}], redirect: {uri: /b, redirectCode: 305}")
    assert any("VirtualService shop/fault: spec.http[0].redirect.redirectCode" in each for each in problems(text))


EMPTY = Registry(workloads=())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (delegate(ROUTE), "no VirtualService delegates to it"),
        (root("", delegate="{name: other}") + delegate(ROUTE), "no VirtualService delegates to it"),
        (root("") + delegate(ROUTE, more="exportTo: [web],"), "not exported to namespace shop"),
        (
            root("match: [{uri: {prefix: /a}}]") + delegate(f"match: [{{uri: {{exact: /b}}}}], {ROUTE}"),
            "asks for calls beyond spec.http[0].match",
        ),
    ],
)
def test_a_delegate_without_effect_is_reported(text: str, words: str) -> None:
    [found] = undelegated(Mesh(EMPTY, read(text)))
    assert found.title == "VirtualService shop/fault"
    assert words in str(found)


def test_a_delegate_in_force_is_not_reported() -> None:
    assert not list(undelegated(Mesh(EMPTY, read(root("") + delegate(ROUTE)))))
