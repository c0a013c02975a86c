# ruff: noqa: E501  # a resource is easier to read on one line
"""
The registry is validated strictly.
"""

from pathlib import Path

import pytest

from translator.model.problems import InvalidMesh
from translator.model.registry import ServicePort, SocketAddress
from translator.model.registry_file import load_registry

WORKLOAD = "{name: a, namespace: shop, serviceAccount: a, address: 127.0.0.1, admin: '127.0.0.1:1'"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "registry.yaml"
    path.write_text(text)
    with pytest.raises(InvalidMesh) as caught:
        load_registry(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: 1", "services: must be a list"),
        ("nonsense: 1", "nonsense: is not a known field"),
        ("services: [{name: a}]", "services[0].namespace: is missing"),
        ("services: [{name: a, namespace: b, ports: [{name: x, port: 70000}]}]", "services[0].ports[0].port: must be a port"),
        (f"workloads: [{WORKLOAD}, kind: ship}}]", "workloads[0].kind: must be sidecar or gateway"),
        ("workloads: [{name: a, namespace: b, serviceAccount: c, address: d, admin: here}]", "workloads[0].admin: must be host:port"),
        (f"workloads: [{WORKLOAD}}}, {WORKLOAD}}}]", "workloads: 'a' is duplicated"),
        (f"workloads: [{WORKLOAD}, labels: {{a: 1}}}}]", "workloads[0].labels.a: must be text"),
        ("credentials: [{name: ../key, hosts: [a]}]", "credentials[0].name: '../key' is not a secret's name"),
        ("credentials: [{name: a, hosts: []}]", "credentials[0].hosts: must be a list of names or IP addresses"),
        ("a: 1\na: 2", "the key 'a' is duplicated"),
        ("{", "is not valid YAML"),
        ("", "must be one YAML document"),
    ],
)  # fmt: skip
def test_mistake_is_named_by_its_field(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_every_mistake_is_reported_once(tmp_path: Path) -> None:
    text = "nonsense: 1\nservices: [{name: a, namespace: b, ports: [{name: x, port: true}]}, {name: 1, namespace: b}]"
    messages = [line.rpartition("registry: ")[2] for line in refused(tmp_path, text).splitlines()]
    assert messages == [
        "nonsense: is not a known field",
        "services[0].ports[0].port: must be a port from 1 to 65535",
        "services[1].name: must be text",
    ]


def test_absent_fields_have_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(
        f"services: [{{name: s, namespace: shop, ports: [{{name: grpc, port: 50051}}]}}]\nworkloads: [{WORKLOAD}}}]"
    )
    registry = load_registry(path)
    assert (registry.trust_domain, registry.cluster_domain, registry.root_namespace) == (
        "cluster.local",
        "cluster.local",
        "istio-system",
    )
    assert registry.services[0].ports == (ServicePort("grpc", 50051, 50051),)
    assert (registry.workloads[0].kind, registry.workloads[0].labels, registry.workloads[0].ports) == (
        "sidecar",
        {},
        {},
    )
    assert registry.workloads[0].admin == SocketAddress("127.0.0.1", 1)


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidMesh, match="cannot be read"):
        load_registry(tmp_path / "none.yaml")


def test_joined_services_are_added_to_the_registry(tmp_path: Path) -> None:
    path, beside = tmp_path / "registry.yaml", tmp_path / "joined"
    path.write_text(f"workloads: [{WORKLOAD}}}]")
    beside.mkdir()
    (beside / "b.yaml").write_text(
        "services: [{name: b, namespace: shop}]\n"
        "workloads: [{name: b, namespace: shop, serviceAccount: b, address: 127.0.0.2, admin: '127.0.0.2:1'}]"
    )
    registry = load_registry(path)
    assert [workload.name for workload in registry.workloads] == ["a", "b"]
    assert [service.name for service in registry.services] == ["b"]
    (beside / "c.yaml").write_text(f"workloads: [{WORKLOAD}}}]")
    assert "workloads: 'a' is duplicated" in refused_again(path)
    (beside / "c.yaml").write_text("trustDomain: elsewhere")
    assert "c.yaml: registry: trustDomain: is not a known field" in refused_again(path)


def refused_again(path: Path) -> str:
    with pytest.raises(InvalidMesh) as caught:
        load_registry(path)
    return str(caught.value)
