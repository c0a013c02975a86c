"""`make manifests`: complete, in order, and with nothing that a GitOps tool would take away."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest
import yaml

from images.catalogue import CHECKOUT, CLUSTER
from k8s import api_server, manifests
from tools.manifests.variants import kustomized

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
WAVE = "argocd.argoproj.io/sync-wave"
ORDER = ("namespace", "foundation", "store", "mesh", "migration", "service")
REGISTRY = "registry.example.com/shop"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write into a checkout that has the real one's sources."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("k8s", "istio", "monitoring"):
        shutil.copytree(CHECKOUT / name, checkout / name)
    shutil.copytree(CHECKOUT / "build/istio", checkout / "build/istio")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REGISTRY", REGISTRY)
        yield manifests.write("production", checkout)


@pytest.fixture(scope="module")
def objects(folder) -> list[dict[str, Any]]:
    return kustomized(folder)


def key(each):
    return each["kind"], each["metadata"]["name"]


def annotations(each):
    return each["metadata"].get("annotations", {})


def test_the_contract_and_every_image_are_named(objects):
    assert ("EnvoyFilter", "edge-api") in map(key, objects)
    text = json.dumps(objects)
    for image in CLUSTER:
        if f"{image.name}:" in text:
            assert f'"image": "{image.reference(REGISTRY)}"' in text
    assert '"image": "shop/' not in text


def test_everything_is_in_the_namespace(objects):
    assert {each["metadata"].get("namespace") for each in objects if each["kind"] != "Namespace"} == {"shop"}


def test_waves_are_in_the_order_of_the_deployment(objects):
    waves = {stage: {annotations(each)[WAVE] for each in objects if each["metadata"]["labels"]["stage"] == stage}
             for stage in ORDER}  # fmt: skip
    assert all(len(each) == 1 for each in waves.values()), waves
    numbers = [int(waves[stage].pop()) for stage in ORDER]
    assert numbers == sorted(set(numbers))


def test_fluxs_folders_have_every_object_once(folder, objects):
    parts = [key(each) for name in manifests.FOLDERS for each in kustomized(folder / "flux" / name)]
    assert sorted(parts) == sorted(map(key, objects))


def test_fluxs_example_applies_the_folders_in_order():
    text = (CHECKOUT / "k8s/gitops/examples/flux.yaml").read_text()
    steps = [each for each in yaml.safe_load_all(text) if each["kind"] == "Kustomization"]
    assert [each["spec"]["path"].removeprefix("./production/flux/") for each in steps] == list(manifests.FOLDERS)
    names = [each["metadata"]["name"] for each in steps]
    assert [each["spec"].get("dependsOn") for each in steps] == [None, *([{"name": name}] for name in names[:-1])]
    assert all(each["spec"]["wait"] and each["spec"]["prune"] for each in steps)


def test_migrations_run_again(objects):
    jobs = [each for each in objects if each["kind"] == "Job"]
    assert {each["metadata"]["name"] for each in jobs} == {"orders-migrate", "inventory-migrate", "monitor-role"}
    for each in jobs:
        assert annotations(each)["argocd.argoproj.io/hook"] == "Sync"
        assert annotations(each)["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
        assert annotations(each)["kustomize.toolkit.fluxcd.io/force"] == "enabled"
        assert "ttlSecondsAfterFinished" not in each["spec"]


def test_nothing_with_data_is_pruned(objects):
    for each in objects:
        if each["kind"] in ("StatefulSet", "Namespace"):
            assert annotations(each)["argocd.argoproj.io/sync-options"] == "Prune=false"
            assert annotations(each)["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_the_static_policy_of_the_api_server_is_for_the_same_pods_as_the_scripts(objects):
    [policy] = [each for each in objects if key(each) == ("NetworkPolicy", "api-server")]
    [expression] = policy["spec"]["podSelector"]["matchExpressions"]
    assert expression["values"] == list(api_server.ASKING)
    made = api_server.policy(["10.96.0.1"], [443, 6443])
    assert policy["spec"]["egress"] == made["spec"]["egress"]


def test_no_path_of_this_machine_is_in_the_files(folder):
    for path in folder.rglob("*.yaml"):
        assert os.fspath(folder.parents[2]) not in path.read_text()
