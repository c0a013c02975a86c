"""Removes what an earlier deployment left and this one's manifests do not have."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from k8s.kubectl import KINDS, MANAGER, MESH_KINDS, NAMESPACE, get, kubectl

# Their volumes may have the only copy of something, so they are named and left.
KEPT = "StatefulSet"
# Created by the deployment itself (api_server.py).
OURS = {("NetworkPolicy", "api-server")}
Key = tuple[str, str]


def prune(manifests: Path, *, say: Callable[[str], None]) -> None:
    """Delete what a deployment applied, by its label and its field manager, and the manifests no longer have."""
    for kind, name in superfluous(manifests):
        if kind == KEPT:
            say(f"left: {kind} {name} is no longer in the manifests; delete it yourself if its data is elsewhere")
            continue
        kubectl("delete", f"{kind}/{name}", "-n", NAMESPACE, "--ignore-not-found", "--wait=false")
        say(f"pruned: {kind} {name}")


def superfluous(manifests: Path) -> list[Key]:
    """Return the kind and name of what `prune` would delete or name."""
    declared = {_key(each) for each in documents(manifests)}
    there = [
        each for each in get(f"{KINDS},{MESH_KINDS}", "-l", "stage", "--show-managed-fields") if _applied_by_us(each)
    ]
    return left_over(declared, there, get("replicasets"))


def _applied_by_us(each: Mapping[str, Any]) -> bool:
    return any(field.get("manager") == MANAGER for field in each["metadata"].get("managedFields", []))


def left_over(
    declared: Iterable[Key], there: Iterable[Mapping[str, Any]], replica_sets: Iterable[Mapping[str, Any]]
) -> list[Key]:
    """
    Return the objects of *there* that are not *declared*.

    A ConfigMap that an earlier revision of a Deployment has stays, since `kubectl rollout undo` needs it.
    """
    needed = {("ConfigMap", name) for each in replica_sets for name in _config_maps(each["spec"]["template"]["spec"])}
    return sorted({_key(each) for each in there} - {*declared, *needed, *OURS})


def _config_maps(pod: Mapping[str, Any]) -> Iterator[str]:
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        yield from (each["configMapRef"]["name"] for each in container.get("envFrom", []) if "configMapRef" in each)
    yield from (each["configMap"]["name"] for each in pod.get("volumes", []) if "configMap" in each)


def documents(manifests: Path) -> list[dict[str, Any]]:
    """Return the objects of rendered manifests, as JSON without asking the cluster."""
    command = ("create", "--dry-run=client", "--validate=false", "-f", str(manifests), "-o", "json")
    text, decoder = kubectl(*command), json.JSONDecoder()
    found: list[dict[str, Any]] = []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found += document["items"] if document["kind"] == "List" else [document]
        text = text[end:]
    return found


def _key(each: Mapping[str, Any]) -> Key:
    return str(each["kind"]), str(each["metadata"]["name"])
