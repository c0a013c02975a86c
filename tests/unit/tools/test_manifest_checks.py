"""Custom resources against their schemas, and kube-score's findings against the exceptions."""

from __future__ import annotations

import pytest
import yaml

from stack.settings import CHECKOUT
from tools.manifests import schemas, score
from tools.manifests.variants import VARIANTS, Variant, render

CRD = yaml.safe_dump({
    "kind": "CustomResourceDefinition", "spec": {
      "group": "example.io", "names": {"kind": "Room"},
      "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
        "type": "object", "properties": {"spec": {
            "type": "object", "required": ["size"], "properties": {
                "size": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "colour": {"type": "string", "enum": ["red", "blue"]},
                "door": {"type": "object", "nullable": True, "properties": {"width": {"type": "integer"}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "rest": {"type": "object", "properties": {"a": {"type": "integer"}},
                         "x-kubernetes-preserve-unknown-fields": True},
            }}}}}}]},
})  # fmt: skip


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "crd.yaml"
    path.write_text(f"{CRD}---\n{yaml.safe_dump({'kind': 'ConfigMap'})}")
    return dict(schemas._of_file(path))


def room(**spec):
    return {"apiVersion": "example.io/v1", "kind": "Room", "metadata": {"name": "r"}, "spec": spec}


@pytest.mark.parametrize(
    "spec",
    [
        {"size": 3},
        {"size": "3%"},
        {"size": 1, "door": None},
        {"size": 1, "labels": {"a": "b"}},
        {"size": 1, "rest": {"b": 1}},
    ],
)
def test_what_the_server_would_keep_is_valid(known, spec):
    assert list(schemas.errors([room(**spec)], known)) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "'size' is a required property"),
        ({"size": 1, "colour": "green"}, "'green' is not one of"),
        ({"size": 1, "door": {"high": 2}}, "'high' was unexpected"),
        ({"size": 1, "labels": {"a": 1}}, "1 is not of type 'string'"),
        ({"size": [1]}, "[1] is not of type"),
    ],
)
def test_what_the_server_would_refuse_or_drop_is_reported_with_its_place(known, spec, message):
    [error] = schemas.errors([room(**spec)], known)
    assert error.startswith("Room r: $.spec")
    assert message in error


def test_a_resource_that_nobody_knows_is_an_error_and_one_of_an_operator_is_named(known):
    unknown = {"apiVersion": "example.org/v1", "kind": "Room", "metadata": {"name": "r"}}
    core = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "h"}}
    kafka = {"apiVersion": "kafka.strimzi.io/v1", "kind": "Kafka", "metadata": {"name": "kafka"}}
    errors = list(schemas.errors([unknown, core, route, kafka], known))
    assert errors == ["Room r: no schema of example.org/v1", "HTTPRoute h: no schema of gateway.networking.k8s.io/v1"]
    assert schemas.unchecked([core, kafka], known) == ["kafka.strimzi.io"]


JUDGED = [{
    "type_meta": {"kind": "Deployment"}, "object_meta": {"name": "orders"},
    "checks": [
        {"check": {"id": "pod-probes"}, "grade": 1, "skipped": False,
         "comments": [{"path": "app", "summary": "no probe"}]},
        {"check": {"id": "container-resources"}, "grade": 10, "skipped": False, "comments": None},
        {"check": {"id": "service-type"}, "grade": 0, "skipped": True, "comments": None},
    ],
}]  # fmt: skip


def test_a_finding_without_an_exception_is_reported():
    found = dict(score._bad(JUDGED))
    assert score.unexpected(found) == ["Deployment/orders: pod-probes: app no probe"]


def test_an_exception_is_not_reported_and_an_unused_one_is(monkeypatch):
    needed = ("pod-probes", "Deployment/orders")
    monkeypatch.setattr(score, "EXCEPTIONS", {needed: "a reason", ("service-type", "Service/edge"): "another"})
    found = dict(score._bad(JUDGED))
    assert score.unexpected(found) == []
    assert score.stale(found) == ["Service/edge: service-type is an exception, but nothing is found"]


def test_a_component_that_an_overlay_does_not_have_cannot_be_replaced():
    with pytest.raises(ValueError, match="production has no component breweries"):
        render(Variant("production", replaced={"breweries": "operators"}))


def test_every_component_is_in_a_variant():
    components = {
        path.parent.relative_to(CHECKOUT / "k8s").as_posix()
        for path in (CHECKOUT / "k8s").rglob("kustomization.yaml")
        if "kind: Component" in path.read_text()
    }
    text = {
        line.removeprefix("- ").removeprefix("../../")
        for path in (CHECKOUT / "k8s/overlays").rglob("kustomization.yaml")
        for line in path.read_text().splitlines()
    }
    used = {each for one in VARIANTS.values() for each in (*one.added, *one.last, *one.above, *one.replaced.values())}
    # Components of those.
    inside = {"overlays/production/stores", "stores", "stores/common", "progressive/routes"}
    assert components - used - text - inside == set()
