"""`make deploy NAMESPACE=…`: the overlays, rendered for another namespace than the one that they are written for."""

from __future__ import annotations

import shutil

import pytest
import yaml

from images.catalogue import CHECKOUT
from k8s import names, render
from k8s.kubectl import ClusterError
from tests.support.manifests import rendered as variant
from tests.unit.k8s.namespaces import left_over
from tools.manifests.variants import VARIANTS, parsed

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
OTHER = "plaza"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Copy what is rendered, so that nothing is written into the real checkout's build."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("k8s", "istio", "monitoring", "build/istio"):
        shutil.copytree(CHECKOUT / name, folder / name)
    return folder


def rendered(overlay, checkout, namespace=OTHER):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REGISTRY", "registry.example.com/images")
        return parsed(render.manifests(overlay, checkout, namespace=namespace).read_text())


def test_the_development_issuer_signs_as_the_edge_expects(checkout):
    found = {(each["kind"], each["metadata"]["name"]): each for each in rendered("one-node", checkout)}
    [container] = found["StatefulSet", "issuer"]["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    [rule] = found["RequestAuthentication", "customers"]["spec"]["jwtRules"]
    assert variables["ISSUER_URL"] == rule["issuer"] == f"http://issuer.{OTHER}.svc.cluster.local:8080"


@pytest.mark.parametrize("overlay", ["one-node", "production"])
def test_an_overlay_in_another_namespace_has_no_trace_of_the_first(overlay, checkout):
    objects = rendered(overlay, checkout)
    assert left_over(objects) == []
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert ("Namespace", OTHER) in found
    assert {each["metadata"].get("namespace") for each in objects if each["kind"] != "Namespace"} == {OTHER}
    selector = found["Gateway", "edge"]["spec"]["selector"]
    assert selector == {"istio": "edge", "shop": OTHER}
    assert selector.items() <= found["Deployment", "edge"]["spec"]["template"]["metadata"]["labels"].items()
    [rule] = found["AuthorizationPolicy", "inventory-for-pages"]["spec"]["rules"]
    # Istio takes cluster.local in a principal for the mesh's own trust domain.
    assert rule["from"][0]["source"]["principals"] == [f"cluster.local/ns/{OTHER}/sa/pages"]


def test_the_same_objects_come_out_in_the_namespace_that_they_are_written_for(checkout):
    here, there = (rendered("production", checkout, name) for name in (names.WRITTEN, OTHER))
    assert left_over(here)
    assert len(here) == len(there)


@pytest.mark.parametrize("name", VARIANTS)
def test_no_component_has_the_namespace_where_nothing_renames_it(name):
    objects = variant(name)
    for each in objects:
        # As kustomize does it, in the test above.
        each["metadata"].pop("namespace", None)
        for subject in each.get("subjects", ()):
            subject.pop("namespace")
    others = [each for each in objects if each["kind"] != "Namespace"]
    assert left_over(parsed(names.rendered(yaml.safe_dump_all(others), OTHER))) == []


@pytest.mark.parametrize("name", ["--all", "Plaza", "a.b", "-a", "a" * 64])
def test_a_name_that_cannot_be_is_refused(name, checkout):
    with pytest.raises(ClusterError, match="NAMESPACE"):
        render.manifests("production", checkout, namespace=name)
