"""k8s/progressive: what a canary is, and which calls reach it."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import yaml

from stack.settings import CHECKOUT
from tests.support.manifests import named, rendered

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
FOLDER = CHECKOUT / "k8s/progressive"
SHARES = {"canary by hand": [95, 5], "argo rollouts": [100, 0]}


@pytest.fixture(scope="module", params=SHARES)
def variant(request) -> tuple[str, list[dict[str, Any]]]:
    return request.param, rendered(request.param)


def to_inventory(objects):
    """Return every route, by its host and name, with a destination in inventory."""
    return {
        (each["metadata"]["name"], route["name"]): [
            (to["destination"].get("subset"), to.get("weight")) for to in route["route"]
        ]
        for each in objects
        if each["kind"] == "VirtualService"
        for route in each["spec"]["http"]
        if "inventory" in [to["destination"]["host"] for to in route.get("route", ())]
    }


def test_every_call_to_inventory_is_split(variant):
    name, objects = variant
    stable, canary = SHARES[name]
    plain = to_inventory(rendered("production"))
    assert to_inventory(objects) == {key: [("stable", stable), ("canary", canary)] for key in plain}


def test_routes_keep_their_timeouts_and_retries(variant):
    _, objects = variant
    for host in ("inventory", "edge"):
        here, there = (
            [{**route, "route": None} for route in named(each, "VirtualService", host)["spec"]["http"]]
            for each in (objects, rendered("production"))
        )
        assert here == there


def test_a_canary_by_hand_is_what_inventory_is_except_for_its_image_and_version():
    objects = rendered("canary by hand")
    canary, inventory = (
        named(objects, "Deployment", name)["spec"]["template"] for name in ("inventory-canary", "inventory")
    )
    assert canary["spec"]["containers"][0].pop("image") == "shop/inventory-canary"
    assert inventory["spec"]["containers"][0].pop("image") == "shop/inventory"
    assert canary["metadata"]["labels"].pop("version") == "canary"
    assert inventory["metadata"]["labels"].pop("version") == "v1"
    assert canary == inventory
    subsets = named(objects, "DestinationRule", "inventory")["spec"]["subsets"]
    assert {each["name"]: each["labels"]["version"] for each in subsets} == {"stable": "v1", "canary": "canary"}


def test_a_rollout_knows_every_route_that_is_split():
    objects = rendered("argo rollouts")
    canary = named(objects, "Rollout", "inventory")["spec"]["strategy"]["canary"]
    known = {
        (each["name"], route)
        for each in canary["trafficRouting"]["istio"]["virtualServices"]
        for route in each["routes"]
    }
    assert known == to_inventory(objects).keys()
    used = {each["templateName"] for each in canary["analysis"]["templates"]}
    used |= {each["templateName"] for step in canary["steps"] for each in step.get("analysis", {}).get("templates", ())}
    assert used == {each["metadata"]["name"] for each in objects if each["kind"] == "AnalysisTemplate"}
    scaler = named(objects, "HorizontalPodAutoscaler", "inventory")
    assert scaler["spec"]["scaleTargetRef"]["kind"] == "Rollout"


def test_the_marked_caller_has_the_timeouts_of_the_usual_route():
    [marked] = yaml.safe_load((FOLDER / "by-hand/one-caller.yaml").read_text())["spec"]["http"]
    edge = named(rendered("production"), "VirtualService", "edge")
    [usual] = [route for route in edge["spec"]["http"] if route.get("name") == marked["name"]]
    assert (marked["timeout"], marked["retries"]) == (usual["timeout"], usual["retries"])
    assert [each["uri"] for each in marked["match"]] == [each["uri"] for each in usual["match"]]
    assert all(each["headers"] for each in marked["match"])
