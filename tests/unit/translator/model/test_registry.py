# ruff: noqa: E501  # a resource is easier to read on one line
"""
The registry is read strictly.
"""

from pathlib import Path

import pytest

from translator.model.problems import InvalidMesh
from translator.model.registry import load_registry

WORKLOAD = "{name: a, namespace: shop, serviceAccount: a, address: 127.0.0.1, admin: '127.0.0.1:1'"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "registry.yaml"
    path.write_text(text)
    with pytest.raises(InvalidMesh) as caught:
        load_registry(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: 1", "services: must be a list"),
        ("nonsense: 1", "nonsense: is not a known field"),
        ("services: [{name: a}]", "services[0].namespace: is missing"),
        ("services: [{name: a, namespace: b, ports: [{name: x, port: 70000}]}]", "services[0].ports[0].port: must be a port"),
        (f"workloads: [{WORKLOAD}, kind: ship}}]", "workloads[0].kind: must be sidecar or gateway"),
        ("workloads: [{name: a, namespace: b, serviceAccount: c, address: d, admin: here}]", "workloads[0].admin: must be host:port"),
        (f"workloads: [{WORKLOAD}}}, {WORKLOAD}}}]", "workloads: 'a' is there twice"),
        (f"workloads: [{WORKLOAD}, labels: {{a: 1}}}}]", "workloads[0].labels.a: must be text"),
        ("credentials: [{name: ../key, hosts: [a]}]", "credentials[0].name: '../key' is not a secret's name"),
        ("credentials: [{name: a, hosts: []}]", "credentials[0].hosts: must be a list of names or IP addresses"),
        ("a: 1\na: 2", "the key 'a' is there twice"),
        ("{", "is no YAML"),
        ("", "must be one YAML document"),
    ],
)  # fmt: skip
def test_mistake_is_named_by_its_field(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidMesh, match="cannot be read"):
        load_registry(tmp_path / "none.yaml")
