"""
`proxy-config` shows what an Envoy has, in istioctl's columns and words.
"""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.translator.control.envoy import sections_of
from tests.unit.translator.rig import REGISTRY, mesh
from translator.__main__ import main
from translator.control import proxy_config
from translator.control.certificates import issue_certificates
from translator.control.proxy_config import shown

RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inventory, namespace: shop}
spec:
  hosts: [inventory]
  http:
  - {match: [{uri: {prefix: /a}}], route: [{destination: {host: inventory, subset: v1}}]}
  - {route: [{destination: {host: inventory}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: slow, namespace: shop}
spec: {host: inventory, subsets: [{name: v1, labels: {version: v1}}]}
"""
SECTIONS = sections_of(mesh(RULES)["orders-0"])
NOTHING: dict[str, Any] = {}
HOSTS = {
    "cluster_statuses": [
        {
            "name": "outbound|50051||inventory.shop.svc.cluster.local",
            "host_statuses": [
                {
                    "address": {"socket_address": {"address": "127.0.0.3", "port_value": 50051}},
                    "health_status": {"eds_health_status": "HEALTHY", "failed_outlier_check": True},
                },
                {
                    "address": {"socket_address": {"address": "127.0.0.2", "port_value": 50051}},
                    "health_status": {"eds_health_status": "HEALTHY"},
                },
            ],
        }
    ]
}


def cells(lines: list[str]) -> list[list[str]]:
    """Return the cells of a table by the places of its header."""
    places = [0, *(i for i in range(2, len(lines[0])) if lines[0][i - 2 : i] == "  " and lines[0][i] != " ")]
    return [[line[a:b].strip() for a, b in zip(places, [*places[1:], None], strict=True)] for line in lines]


def test_clusters_are_named_by_their_parts_and_the_destination_rule() -> None:
    header, *rows = cells(shown("clusters", SECTIONS, NOTHING, {"fqdn": "inventory"}))
    assert header == ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"]
    host = "inventory.shop.svc.cluster.local"
    assert rows == [
        [host, "50051", "-", "outbound", "EDS", "slow.shop"],
        [host, "50051", "v1", "outbound", "EDS", "slow.shop"],
    ]


def test_inbound_clusters_can_be_chosen() -> None:
    _, *rows = cells(shown("clusters", SECTIONS, NOTHING, {"direction": "inbound"}))
    assert [row[3] for row in rows] == ["inbound"]


def test_listeners_say_for_whom_and_where_to() -> None:
    header, *rows = shown("listeners", SECTIONS, NOTHING, {})
    assert header.split() == ["ADDRESSES", "PORT", "MATCH", "DESTINATION"]
    assert any(row.endswith("Route: 50051") for row in rows)
    assert any("Trans: tls" in row and row.endswith("Cluster: inbound|50051||") for row in rows)


def test_routes_say_which_virtual_service_they_are_of() -> None:
    header, *rows = cells(shown("routes", SECTIONS, NOTHING, {"name": "50051"}))
    assert header == ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"]
    host = "inventory.shop.svc.cluster.local:50051"
    assert [row[2:] for row in rows if row[1] == host] == [
        ["inventory, inventory.shop", "/a*", "inventory.shop"],
        ["inventory, inventory.shop", "/*", "inventory.shop"],
    ]


def test_endpoints_say_who_is_ejected() -> None:
    header, *rows = cells(shown("endpoints", NOTHING, HOSTS, {}))
    assert header == ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"]
    assert [row[:3] for row in rows] == [
        ["127.0.0.2:50051", "HEALTHY", "OK"],
        ["127.0.0.3:50051", "HEALTHY", "FAILED"],
    ]


@pytest.mark.parametrize(("year", "valid"), [(2026, "true"), (2040, "false")])
def test_secrets_say_whether_they_are_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int, valid: str
) -> None:
    issue_certificates(REGISTRY, tmp_path, now=datetime(2026, 6, 1, tzinfo=UTC))
    place = tmp_path / "ns/shop/sa/orders/current"
    chain, root = (base64.b64encode((place / name).read_bytes()).decode() for name in ("chain.pem", "ca.pem"))
    active = [
        {"name": "default", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": chain}}}},
        {"name": "ROOTCA", "secret": {"validation_context": {"trusted_ca": {"inline_bytes": root}}}},
    ]
    waiting = [{"name": "kubernetes://edge"}]
    sections = {"SecretsConfigDump": {"dynamic_active_secrets": active, "dynamic_warming_secrets": waiting}}
    monkeypatch.setattr(proxy_config, "utc_now", lambda: datetime(year, 6, 1, 1, tzinfo=UTC))
    header, *rows = cells(shown("secrets", sections, NOTHING, {}))
    assert header[:4] == ["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT"]
    assert [row[:4] for row in rows] == [
        ["kubernetes://edge", "", "WARMING", "false"],
        ["default", "Cert Chain", "ACTIVE", valid],
        ["ROOTCA", "CA", "ACTIVE", valid],
    ]
    assert rows[1][5:] == ["2026-06-02T00:00:00Z", "2026-05-31T23:55:00Z"]


def test_json_has_the_whole_resource() -> None:
    lines = shown("clusters", SECTIONS, NOTHING, {"subset": "v1"}, as_json=True)
    assert any('"name": "outbound|50051|v1|inventory.shop.svc.cluster.local"' in line for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kind=clouds", "--workload=orders"), "clouds: must be one of clusters, listeners, routes"),
        (("--kind=c", "--workload=nobody"), "nobody: is no workload; known are"),
        (("--kind=routes", "--workload=orders", "--port=80"), "routes: cannot be chosen by --port"),
    ],
)
def test_wrong_words_are_refused(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    registry = Path(__file__).parents[1] / "registry.yaml"
    assert main(["proxy-config", f"--registry={registry}", *words]) == 1
    assert message in capsys.readouterr().err
